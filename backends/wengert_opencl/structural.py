"""x
Owns
x"""
def table(b):
    from wengert_opencl import maps
    return {
        "cast": lambda x, dtype: maps.cast(x, dtype), 
        "reshape": lambda x, shape: x.reshaped(shape) or maps.copy(x).reshaped(shape),
        "transpose": lambda x, axes: x.transpose(axes), "broadcast_to": lambda x, shape: x.broadcast_to(shape),
        "getitem": lambda x, index: x.getitem(index),
    }
