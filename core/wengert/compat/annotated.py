"""`torch.jit.annotations`: the names that TorchScript gives to parameters which take a number or a list of some length.

Owns: the names. Must not know: anything else.
"""

BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
BroadcastingList4 = BroadcastingList5 = BroadcastingList6 = list
List, Dict, Tuple = list, dict, tuple
