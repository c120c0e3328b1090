"""`wengert bench`: how fast the devices of this machine are, op by op, at the sizes a user asks for.

Owns: `kernels`, the ops that are measured, `timing`, how anything is timed, and `command`, the table. The suite in
`benchmarks/` reads the first two by their path, beside any version of wengert and beside other libraries. May import:
NumPy and the standard library. Must not know: wengert, which `command` alone imports.
"""
