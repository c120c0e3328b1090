"""What `wengert.nn.utils` has: clipping, vectors of parameters, parametrizations, packed sequences.

Owns: nothing; each module below is loaded when one of its names is first asked for. Must not know: tensors, devices.
"""
