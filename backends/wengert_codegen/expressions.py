"""Formulas as C: what an op's `expr` template means for elements of a type, in OpenCL C and in CUDA C.

Owns: the table of types, the templates that differ for integers and complex numbers, the names of functions, and the
hoisting of calls out of loops. May import: NumPy, for types; special. Must not know: kernels, devices, op records.
A compiler vectorises a loop only without calls in it, so the cpu dialect computes the arguments of a call for a block of
elements first, then calls the function on vectors of 16 or 8 of them, then goes on with the results.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert_codegen.special import SPECIAL


@dataclass(frozen=True)
class Ctype:
    """A type: `stored` in memory, `name` in computations, `kind` as NumPy's: b, i, u, f or c."""

    stored: str
    name: str
    kind: str
    read: str = "{}"
    write: str = "{}"
    vector: int = 0  # elements of this type that a library function takes at once in the cpu dialect


def _integer(name: str, kind: str) -> Ctype:
    return Ctype(name, name, kind, write=f"({name})({{}})")


CTYPES: dict[str, Ctype] = {  # by the name of NumPy's type
    "bool": Ctype("uchar", "uchar", "b", write="(uchar)(({}) != 0)"),
    "uint8": _integer("uchar", "u"), "int8": _integer("char", "i"), "uint16": _integer("ushort", "u"),
    "int16": _integer("short", "i"), "uint32": _integer("uint", "u"), "int32": _integer("int", "i"),
    "uint64": _integer("ulong", "u"), "int64": _integer("long", "i"),
    "float16": Ctype("ushort", "float", "f", "w_from_half({})", "w_to_half({})", 16),
    "bfloat16": Ctype("ushort", "float", "f", "w_from_bfloat({})", "w_to_bfloat({})", 16),
    "float32": Ctype("float", "float", "f", vector=16), "float64": Ctype("double", "double", "f", vector=8),
    "complex64": Ctype("float2", "float2", "c"), "complex128": Ctype("double2", "double2", "c"),
}  # fmt: skip


def complex_part(ctype: Ctype) -> Ctype:
    """Return the type of the parts of complex numbers; of any other type that type."""
    return CTYPES["float32" if ctype.name == "float2" else "float64"] if ctype.kind == "c" else ctype


@dataclass(frozen=True)
class Dialect:
    """How kernels are written for a kind of processor. cpu: long loops, calls on vectors; gpu: one element at a time."""

    cpu: bool
    cores: int
    complete: bool = field(default=True)  # whether it has double precision
    cuda: bool = False  # functions of float are called by their own names
    vectors: bool = False  # names are vectors: functions take them whole


# ---- what C has no function for. Each is used under its name and stands in front of the kernel that uses it.
HELPERS = {
    "w_from_half": """
float w_from_half(ushort h) {
  uint bits = ((uint)(h & 0x7fff)) << 13, top = ((uint)(h & 0x8000)) << 16;
  float small = as_float(bits + 0x38000000u), tiny = as_float(bits + 0x38800000u) - as_float(0x38800000u);
  uint made = (h & 0x7c00) == 0 ? as_uint(tiny) : (h & 0x7c00) == 0x7c00 ? bits | 0x7f800000u : as_uint(small);
  return as_float(made | top);
}""",
    "w_to_half": """
ushort w_to_half(float x) {
  uint bits = as_uint(x), top = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  uint normal = (bits - 0x38000000u + 0xfffu + ((bits >> 13) & 1u)) >> 13;
  uint tiny = as_uint(as_float(bits) + 0.5f) - 0x3f000000u;
  uint made = bits > 0x7f800000u ? 0x7e00u : bits >= 0x477ff000u ? 0x7c00u : bits < 0x38800000u ? tiny : normal;
  return (ushort)(made | top);
}""",
    "w_from_bfloat": "float w_from_bfloat(ushort h) { return as_float(((uint)h) << 16); }",
    "w_to_bfloat": """
ushort w_to_bfloat(float x) {
  uint bits = as_uint(x);
  return x != x ? (ushort)0x7fc0 : (ushort)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}""",
    # integers: a division by 0 gives 0, and the one that overflows wraps around; neither stops the program
    "w_quotient": "long w_quotient(long x, long y) { return y == 0 ? 0 : y == -1 ? (long)(0 - (ulong)x) : x / y; }",
    "w_modulo": "long w_modulo(long x, long y) { return y == 0 || y == -1 ? 0 : x % y; }",
    "w_power_int": """
long w_power_int(long x, long y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? ((y & 1) ? -1 : 1) : 0;
  ulong made = 1, base = (ulong)x;
  for (; y; y >>= 1, base *= base) if (y & 1) made *= base;
  return (long)made;
}""",
    "w_gcd": """
long w_gcd(long x, long y) {
  ulong a = x < 0 ? 0 - (ulong)x : (ulong)x, b = y < 0 ? 0 - (ulong)y : (ulong)y;
  while (b) { ulong rest = a % b; a = b; b = rest; }
  return (long)a;
}""",
    "w_lcm": """
long w_lcm(long x, long y) {
  long d = w_gcd(x, y);
  ulong made = d ? (ulong)(x / d) * (ulong)y : 0;
  return (long)made < 0 ? (long)(0 - made) : (long)made;
}""",
    "w_shift_left": "long w_shift_left(long x, long y, long bits) { return y < 0 || y >= bits ? 0 : (long)((ulong)x << y); }",
    "w_shift_right": "long w_shift_right(long x, long y, long bits) { return x >> (y < 0 || y >= bits ? bits - 1 : y); }",
    "w_quotient_u": "ulong w_quotient_u(ulong x, ulong y) { return y == 0 ? 0 : x / y; }",
    "w_modulo_u": "ulong w_modulo_u(ulong x, ulong y) { return y == 0 ? 0 : x % y; }",
    "w_shift_left_u": "ulong w_shift_left_u(ulong x, ulong y) { return y >= 64 ? 0 : x << y; }",
    "w_shift_right_u": "ulong w_shift_right_u(ulong x, ulong y) { return y >= 64 ? 0 : x >> y; }",
    # complex numbers
    "w_times": "{T}2 w_times({T}2 x, {T}2 y) {{ return ({T}2)(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x); }}",
    "w_over": """
{T}2 w_over({T}2 x, {T}2 y) {{
  {T} ax = y.x < 0 ? -y.x : y.x, ay = y.y < 0 ? -y.y : y.y;
  if (ax >= ay) {{
    if (ax == 0 && ay == 0) return ({T}2)(x.x / ax, x.y / ax);
    {T} r = y.y / y.x, d = y.x + y.y * r;
    return ({T}2)((x.x + x.y * r) / d, (x.y - x.x * r) / d);
  }}
  {T} r = y.x / y.y, d = y.y + y.x * r;
  return ({T}2)((x.x * r + x.y) / d, (x.y * r - x.x) / d);
}}""",
    # sines of float32 in the arithmetic of float64: pi/2 in two parts is enough below 2^20
    "w_quarter": """
double8 w_quarter(double8 x, long8 *turn) {
  double8 shifted = x * 0.6366197723675814 + 6755399441055744.0, n = shifted - 6755399441055744.0;
  *turn = as_long8(shifted);
  return (x - n * 1.5707963267341256) - n * 6.077100506506192e-11;
}
double8 w_waves(double8 x, long add) {
  long8 turn;
  double8 r = w_quarter(x, &turn), z = r * r;
  turn += add;
  double8 s = r * (1.0 + z * (-0.16666666666666666 + z * (0.008333333333333333 + z * (-0.0001984126984126984
    + z * (2.7557319223985893e-06 + z * (-2.505210838544172e-08 + z * 1.6059043836821613e-10))))));
  double8 c = 1.0 + z * (-0.5 + z * (0.041666666666666664 + z * (-0.001388888888888889 + z * (2.48015873015873e-05
    + z * (-2.755731922398589e-07 + z * (2.08767569878681e-09 + z * -1.1470745597729725e-11))))));
  long8 odd = -(turn & 1), flip = (turn & 2) << 62;
  return as_double8(((as_long8(c) & odd) | (as_long8(s) & ~odd)) ^ flip);
}
int w_far(const float *x) {
  int far = 0;
  for (int l = 0; l < 16; l++) far |= !(__builtin_fabsf(x[l]) < 1048576.0f);
  return far;
}
double8 w_widened(const float *x) { return (double8)(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]); }
void w_narrowed(double8 y, float *x) {
  double v[8];
  *(w_double8 *)v = y;
  for (int l = 0; l < 8; l++) x[l] = (float)v[l];
}""",
    # exp(n ln 2 + r) = 2^n (1 + r + ...), 2^n by two factors: the first product is normal, so the second rounds once
    "w_exp": """
w_float16 w_exp(w_float16 x) {
  x = x > 89.0f ? (float16)(89.0f) : x;
  x = x < -104.0f ? (float16)(-104.0f) : x;
  float16 shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  float16 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float16 q = 0.50000001f + r * (0.16666519f + r * (0.041666205f + r * (0.008368918f + r * 0.001395054f)));
  float16 made = 1.0f + (r + r * r * q);
  int16 k = as_int16(shifted) - 0x4b400000, h = k >> 1;
  return made * as_float16((h + 127) << 23) * as_float16((k - h + 127) << 23);
}""",
    # log(2^k m) = k ln 2 + log(1 + f), f = m - 1 in [sqrt(1/2) - 1, sqrt(2) - 1]
    "w_log": """
w_float16 w_log(w_float16 x) {
  int16 tiny = x < 1.17549435e-38f;
  float16 v = tiny ? x * 8388608.0f : x;
  int16 shift = as_int16(v) - 0x3f3504f3, whole = shift >> 23;
  float16 f = as_float16(as_int16(v) - (shift & (int)0xff800000)) - 1.0f, z = f * f;
  float16 k = as_float16((whole - (tiny & 23)) + 0x4b400000) - 12582912.0f;
  float16 q = 0.118886985f + f * (-0.11677515f + f * 0.067477256f);
  q = 0.33333313f + f * (-0.25000009f + f * (0.20002124f + f * (-0.16668005f + f * (0.14219452f + f * (-0.1240534f + f * q)))));
  float16 made = (f + (z * f * q + (k * -2.12194440e-4f - 0.5f * z))) + k * 0.693359375f;
  made = x == (float16)(INFINITY) ? x : made;
  made = x == 0.0f ? (float16)(-INFINITY) : made;
  return x >= 0.0f ? made : (float16)(NAN);
}""",
    # near 0 a polynomial, else 1 - 2 / (exp(2|x|) + 1)
    "w_tanh": """
w_float16 w_tanh(w_float16 x) {
  float16 a = as_float16(as_int16(x) & 0x7fffffff), z = x * x;
  float16 small = x + x * z * (-0.33333284f + z * (0.1333147f + z * (-0.053741623f + z * (0.020644134f + z * -0.0057094959f))));
  float16 t = a > 10.0f ? (float16)(20.0f) : a + a;
  float16 shifted = t * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  float16 r = (t - n * 0.693359375f) + n * 2.12194440e-4f;
  float16 q = 0.50000001f + r * (0.16666519f + r * (0.041666205f + r * (0.008368918f + r * 0.001395054f)));
  float16 e = (1.0f + (r + r * r * q)) * as_float16((as_int16(shifted) - 0x4b400000 + 127) << 23);
  float16 large = 1.0f - 2.0f / (e + 1.0f);
  int16 sign = as_int16(x) & (int)0x80000000;
  return as_float16(as_int16(a < 0.625f ? small : large) | sign);
}""",
    # near 0 a polynomial times x, else 1 - exp(polynomial), which is erfc; from 4 on that is no part of 1
    "w_erf": """
w_float16 w_erf(w_float16 x) {
  float16 a = as_float16(as_int16(x) & 0x7fffffff), z = x * x;
  float16 small = x * (1.12837923f + z * (-0.376126349f + z * (0.112836957f + z * (-0.0268593989f + z * (0.00520103239f
    + z * (-0.000814270345f + z * 8.3700972e-05f))))));
  a = a > 4.0f ? (float16)(4.0f) : a;
  float16 t = -0.000209913502f + a * (-1.12761545f + a * (-0.637285769f + a * (-0.103838913f + a * (0.0221814029f
    + a * (-0.00303160166f + a * 0.000194734617f)))));
  float16 shifted = t * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  float16 r = (t - n * 0.693359375f) + n * 2.12194440e-4f;
  float16 q = 0.50000001f + r * (0.16666519f + r * (0.041666205f + r * (0.008368918f + r * 0.001395054f)));
  float16 large = 1.0f - (1.0f + (r + r * r * q)) * as_float16((as_int16(shifted) - 0x4b400000 + 127) << 23);
  int16 sign = as_int16(x) & (int)0x80000000;
  return a < 0.921875f ? small : as_float16(as_int16(large) | sign);
}""",
    # sines of float32: pi/2 in three parts, whose products with n < 2^17 a fused multiply-add does not round; compilers that
    # do not say what the processor has make one of fma, in others its call would be slow
    "w_sines": """
#ifdef __FMA__
#define W_LESS(r, n, c) (r) - (n) * (c)
#elif !defined(__SSE2__)
#define W_LESS(r, n, c) fma(n, (float16)(-(c)), r)
#endif
w_float16 w_sine(w_float16 x, int add) {
#ifdef W_LESS
  float16 shifted = x * 0.636619772f + 12582912.0f, n = shifted - 12582912.0f;
  float16 r = W_LESS(x, n, 1.5707963705062866f);
  r = W_LESS(r, n, -4.371138828673793e-08f);
  r = W_LESS(r, n, -1.7151245100058819e-15f);
  float16 z = r * r;
  float16 s = r * (1.0f + z * (-0.16666655f + z * (0.0083321735f + z * -0.00019516656f)));
  float16 c = 1.0f + z * (-0.5f + z * (0.041666647f + z * (-0.0013887361f + z * 2.443773e-05f)));
  int16 turn = as_int16(shifted) + add, odd = -(turn & 1);
  return as_float16(((as_int16(c) & odd) | (as_int16(s) & ~odd)) ^ ((turn & 2) << 30));
#else
  float p[16];
  *(w_float16 *)p = x;
  w_narrowed(w_waves(w_widened(p), add), p);
  w_narrowed(w_waves(w_widened(p + 8), add), p + 8);
  return *(w_float16 *)p;
#endif
}
w_float16 w_far_sine(w_float16 x, int add) {
  float p[16];
  *(w_float16 *)p = x;
  for (int b = 0; b < 16; b += 8) w_narrowed(add ? cos(w_widened(p + b)) : sin(w_widened(p + b)), p + b);
  return *(w_float16 *)p;
}
w_float16 w_sines(w_float16 x, int add) {
  int16 near = as_float16(as_int16(x) & 0x7fffffff) < 131072.0f;
  int8 eight = near.lo & near.hi;
  int4 four = eight.lo & eight.hi;
  int2 two = four.lo & four.hi;
  return two.x & two.y ? w_sine(x, add) : w_far_sine(x, add);
}""",
    "w_sin": "w_float16 w_sin(w_float16 x) { return w_sines(x, 0); }",
    "w_cos": "w_float16 w_cos(w_float16 x) { return w_sines(x, 1); }",
    "w_tan": """
void w_tan(float *x) {
  int far = w_far(x);
  for (int h = 0; h < 16; h += 8) {
    double8 wide = w_widened(x + h);
    w_narrowed(far ? tan(wide) : w_waves(wide, 0) / w_waves(wide, 1), x + h);
  }
}""",
    # remainders, exactly: at once where the quotient is below 2^50, else 40 bits of it at a time
    "w_fmod": """
double w_fmod_one(double x, double y) {{
  double a = __builtin_fabs(x), b = __builtin_fabs(y);
  if (x - x != 0 || y != y || y == 0) return (double)NAN;
  if (y - y != 0) return x;
  while (a >= b) {{
    double t = b;
    for (long k = (as_long(a) >> 52) - (as_long(b) >> 52) - 40; k > 0; k -= 1000)
      t *= as_double((1023 + (k < 1000 ? k : 1000)) << 52);
    a = __builtin_fma(-__builtin_trunc(a / t), t, a);
    a = a < 0 ? a + t : a;
  }}
  return __builtin_copysign(a, x);
}}
void w_fmod({T} *x, const {T} *y) {{
  int far = 0, n = 64 / sizeof({T});
  for (int l = 0; l < n; l++) far |= !(__builtin_fabs((double)x[l] / (double)y[l]) < 1125899906842624.0);
  for (int l = 0; l < n; l++) far |= y[l] - y[l] != 0;
  if (far) {{
    for (int l = 0; l < n; l++) x[l] = ({T})w_fmod_one(x[l], y[l]);
    return;
  }}
  for (int l = 0; l < n; l++) {{
    double a = __builtin_fabs((double)x[l]), b = __builtin_fabs((double)y[l]);
    double r = __builtin_fma(-__builtin_trunc(a / b), b, a);
    x[l] = ({T})__builtin_copysign(r < 0 ? r + b : r, (double)x[l]);
  }}
}}""",
    # powers of float32 in the arithmetic of float64: 2^(y log2 x), y log2 x with 43 bits
    "w_pow": """
void w_pow(float *x, const float *y) {
  for (int l = 0; l < 16; l++) {
    double v = x[l], e = y[l], a = __builtin_fabs(v);
    long bits = as_long(a), shift = bits - 0x3fe6a09e667f3bcdl;
    double m = as_double(bits - (shift & 0xfff0000000000000l)), f = (m - 1.0) / (m + 1.0), z = f * f;
    double s = 1.0 + z * (0.3333333333333333 + z * (0.2 + z * (0.14285714285714285 + z * (0.1111111111111111
      + z * (0.09090909090909091 + z * (0.07692307692307693 + z * 0.06666666666666667))))));
    double power = (double)(shift >> 52) + f * 2.8853900817779268 * s;
    power = a == 0 ? -(double)INFINITY : a == (double)INFINITY ? a : power;
    double t = e * power;
    t = t < -160.0 ? -160.0 : t > 130.0 ? 130.0 : t;
    double shifted = t + 6755399441055744.0, n = shifted - 6755399441055744.0, r = (t - n) * 0.6931471805599453;
    double p = 1.0 + r * (1.0 + r * (0.5 + r * (0.16666666666666666 + r * (0.041666666666666664 + r * (0.008333333333333333
      + r * (0.001388888888888889 + r * (0.0001984126984126984 + r * (2.48015873015873e-05 + r * 2.7557319223985893e-06))))))));
    double made = p * as_double((as_long(shifted) + 1023) << 52);
    double whole = __builtin_floor(e), middle = e * 0.5;
    int odd = whole == e && __builtin_floor(middle) != middle, one = v == 1.0 || e == 0.0 || (a == 1.0 && e - e != 0 && e == e);
    made = v != v || e != e ? v + e : made;
    made = v < 0 && whole != e && a != (double)INFINITY ? (double)NAN : made;
    made = odd && as_long(v) < 0 ? -made : made;
    x[l] = one ? 1.0f : (float)made;
  }
}""",
    # of float64 by the library for plain |x| and y: a lane with 0 spoils others there, denormal bases (here made larger by
    # 2^64) are taken for others, and signs are lost
    "w_pow_wide": """
void w_pow_wide(double *x, const double *y) {
  double base[8] __attribute__((aligned(64))), power[8] __attribute__((aligned(64))), scale[8] __attribute__((aligned(64)));
  int far = 0;
  for (int l = 0; l < 8; l++) {
    double a = __builtin_fabs(x[l]);
    int plain = a != 0 && a - a == 0 && y[l] - y[l] == 0, tiny = plain && a < 2.2250738585072014e-308;
    far |= tiny;
    scale[l] = tiny ? y[l] * -32.0 : 0.0;
    base[l] = tiny ? a * 18446744073709551616.0 : plain ? a : 1.0;
    power[l] = plain ? y[l] : 1.0;
  }
  *(w_double8 *)base = pow(*(w_double8 *)base, *(w_double8 *)power);
  if (far) *(w_double8 *)scale = exp2(*(w_double8 *)scale);
  else for (int l = 0; l < 8; l++) scale[l] = 1;
  for (int l = 0; l < 8; l++) {
    double v = x[l], a = __builtin_fabs(v), e = y[l], made = base[l] * scale[l] * scale[l], middle = e * 0.5;
    int whole = __builtin_floor(e) == e, odd = whole && e - e == 0 && __builtin_floor(middle) != middle;
    made = a == 0 || a == (double)INFINITY ? ((a == 0) == (e < 0) ? (double)INFINITY : 0.0) : made;
    made = e - e != 0 ? (a == 1 ? 1.0 : (a > 1) == (e > 0) ? (double)INFINITY : 0.0) : made;
    made = v < 0 && !whole && v - v == 0 ? (double)NAN : made;
    made = odd && as_long(v) < 0 ? -made : made;
    made = v != v || e != e ? v + e : made;
    x[l] = e == 0 || v == 1 ? 1.0 : made;
  }
}""",
}
HELPERS |= SPECIAL
NEEDS = {
    "w_i0": ("w_i0e",), "w_i1": ("w_i1e",), "w_ndtri": ("w_quantile",), "w_erfinv": ("w_quantile",), "w_log_ndtr": ("w_erfcx",),
    "w_lcm": ("w_gcd",), "w_sin": ("w_quarter", "w_sines"), "w_cos": ("w_quarter", "w_sines"), "w_tan": ("w_quarter",),
}  # fmt: skip
BY_PLACE = {"w_fmod", "w_pow", "w_pow_wide", "w_tan"}  # these take where a vector lies, and write there; others take its value

# ---- templates that the records' own do not cover
INTEGER = {
    "floor_divide": "w_quotient(x, y) - (w_modulo(x, y) != 0 && (w_modulo(x, y) < 0) != (y < 0))",
    "trunc_divide": "w_quotient(x, y)", "fmod": "w_modulo(x, y)",
    "remainder": "w_modulo(x, y) + (w_modulo(x, y) != 0 && (w_modulo(x, y) < 0) != (y < 0) ? y : 0)",
    "power": "w_power_int(x, y)", "power_number": "w_power_int(x, exponent)", "gcd": "w_gcd(x, y)", "lcm": "w_lcm(x, y)",
    "sign": "(x > 0) - (x < 0)", "sgn": "(x > 0) - (x < 0)", "floor": "x", "ceil": "x", "trunc": "x", "rint": "x",
    "frac": "0", "conjugate": "x",
    "left_shift": "w_shift_left(x, y, {bits})", "right_shift": "w_shift_right(x, y, {bits})",
    "isnan": "0 * (x == 0)", "isinf": "0 * (x == 0)", "isfinite": "1 | (x == 0)", "signbit": "x < 0",
}  # fmt: skip
UINT64 = {  # whose values no long holds
    "floor_divide": "w_quotient_u(x, y)", "trunc_divide": "w_quotient_u(x, y)", "fmod": "w_modulo_u(x, y)",
    "remainder": "w_modulo_u(x, y)", "left_shift": "w_shift_left_u(x, y)", "right_shift": "w_shift_right_u(x, y)",
}  # fmt: skip
BOOL = {"add": "x | y", "multiply": "x & y", "invert": "!x", "square": "x", "absolute": "x"}
BOOL_REFUSED = {
    "subtract": "Subtraction, the `-` operator, with two bool tensors is not supported; use bitwise_xor() or logical_xor()",
    "rsub": "Subtraction, the `-` operator, with two bool tensors is not supported; use bitwise_xor() or logical_xor()",
    "negative": "Negation, the `-` operator, on a bool tensor is not supported; use logical_not()",
    "floor_divide": "division of bools is not implemented; convert them to integers",
    "trunc_divide": "division of bools is not implemented; convert them to integers",
    "remainder": "division of bools is not implemented; convert them to integers",
    "fmod": "division of bools is not implemented; convert them to integers",
    "left_shift": "bools have no bits to shift", "right_shift": "bools have no bits to shift",
    "relu": "relu takes integers and real floats, no bools or complex numbers",
    "power": "pow of bools is not implemented; convert them to integers",
}  # fmt: skip
BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"}  # of integers and bools alone
REAL = {  # of records without a template of their own
    **{name: f"w_{name}(x)" for name in ("digamma", "i0", "i0e", "i1", "i1e", "log_ndtr", "ndtri")},
    "conjugate": "x", "angle": "x != x ? x : x < 0 ? 3.141592653589793 : 0",
    "gelu_tanh_pull": "a * (0.5 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) + 0.5 * x * (1 - "
    "tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)) * tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) * "
    "(0.7978845608028654 * (1 + 0.134145 * x * x)))",
}  # fmt: skip
POWERS = {2: "x * x", 0.5: "sqrt(x)", 1: "x", -1: "1 / x", 3: "x * x * x", 0: "1"}  # of floats, by the exponent
_EXP = "exp(x.x)"
COMPLEX = {
    "copy": "x", "overwrite": "y", "where": "condition ? x : y", "add": "x + y", "subtract": "x - y", "rsub": "y - x",
    "multiply": "w_times(x, y)", "divide": "w_over(x, y)", "reciprocal": "w_over(({T}2)(1, 0), x)", "negative": "-x",
    "conjugate": "({T}2)(x.x, -x.y)", "square": "w_times(x, x)", "absolute": "hypot(x.x, x.y)",
    "equal": "x.x == y.x && x.y == y.y", "not_equal": "x.x != y.x || x.y != y.y", "isnan": "x.x != x.x || x.y != x.y",
    "isfinite": "x.x - x.x == x.x - x.x && x.y - x.y == x.y - x.y",
    "isinf": "(x.x == x.x && x.x - x.x != x.x - x.x) || (x.y == x.y && x.y - x.y != x.y - x.y)",
    "exp": f"({{T}}2)({_EXP} * cos(x.y), {_EXP} * sin(x.y))", "log": "({T}2)(log(hypot(x.x, x.y)), atan2(x.y, x.x))",
    "sgn": "hypot(x.x, x.y) == 0 ? ({T}2)(0, 0) : x / hypot(x.x, x.y)", "angle": "atan2(x.y, x.x)",
    "logical_not": "!(x.x != 0 || x.y != 0)",
}  # fmt: skip

# ---- functions: operators of the compiler, calls of the library, and of the cpu dialect's own where that is slow or wrong
INLINE = {"fabs", "floor", "ceil", "trunc", "rint", "sqrt", "copysign"}
TERNARY = {"fmax": "({0} != {0} || {1} > {0} ? {1} : {0})", "fmin": "({0} != {0} || {1} < {0} ? {1} : {0})"}
LIBRARY = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "fmod",
    "hypot", "lgamma", "log", "log10", "log1p", "log2", "nextafter", "pow", "sin", "sinh", "tan", "tanh", "cbrt", "tgamma",
}  # fmt: skip
OWN = {("fmod", "float"): "w_fmod", ("fmod", "double"): "w_fmod", ("pow", "double"): "w_pow_wide"}
OWN |= {(name, "float"): f"w_{name}" for name in ("cos", "erf", "exp", "log", "pow", "sin", "tan", "tanh")}
UNKNOWN = {"erfinv": "w_erfinv", "erfcx": "w_erfcx"}  # to OpenCL C
VECTORS = {"float": "w_float16", "double": "w_double8"}
_NUMBER = re.compile(r"(?<![\w.])(\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)(?![\w.])")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_ARITHMETIC = re.compile(r"[\w\s+\-*/().,]*")


class Unprintable(Exception):
    """A formula has no C text for a type; the message says which and why."""


def numeral(value: Any, ctype: Ctype) -> str:
    """Return a number as a constant of a type."""
    value = np.asarray(value).item()
    if ctype.kind == "c":
        part = complex_part(ctype)
        value = complex(value)
        return f"({ctype.name})({numeral(value.real, part)}, {numeral(value.imag, part)})"
    if ctype.kind != "f":
        value = int(value)
        if ctype.name == "ulong":
            return f"{value}ul"
        return "(-9223372036854775807l - 1)" if value == -(1 << 63) else f"({value}l)" if abs(value) > 1 << 30 else f"({value})"
    value = float(value)
    if value != value:
        return "NAN" if ctype.name == "float" else "(double)NAN"
    if value in (float("inf"), float("-inf")):
        return f"({'-' if value < 0 else ''}{'' if ctype.name == 'float' else '(double)'}INFINITY)"
    if ctype.name == "float":
        return f"({float(np.float32(value))!r}f)"
    return f"({value!r})"


def template(name: str, expr: str | None, ctype: Ctype, bits: int) -> str:
    """Return the formula of an op for elements of a type. Raises Unprintable where there is none, TypeError or
    NotImplementedError for what the op refuses on every device."""
    if ctype.kind == "b" and name in BOOL_REFUSED:
        text = BOOL_REFUSED[name]
        raise (RuntimeError if "operator" in text else TypeError if "shift" in text else NotImplementedError)(text)
    if ctype.kind in "fc" and name in BITS:
        raise NotImplementedError(f"{name} is not implemented for {'floats' if ctype.kind == 'f' else 'complex numbers'}")
    if ctype.kind == "c":
        found = COMPLEX.get(name)
        if name == "relu":
            raise NotImplementedError(BOOL_REFUSED[name])
        if found is None:
            raise Unprintable("complex numbers")
        return found.replace("{T}", complex_part(ctype).name)
    if ctype.kind == "b" and name in BOOL:
        return BOOL[name]
    if ctype.kind in "biu" and name in INTEGER:
        if ctype.name == "ulong" and "w_" in INTEGER[name]:
            if name not in UINT64:
                raise Unprintable("uint64")
            return UINT64[name]
        return INTEGER[name].replace("{bits}", str(bits))
    found = expr if expr is not None else REAL.get(name)
    if found is None:
        raise Unprintable("any type")
    return found


def arguments(text: str, start: int) -> tuple[list[str], int]:
    """Return the arguments of a call whose parenthesis opens before `start`, and where it is closed."""
    depth, at = 1, start
    parts: list[str] = []
    for i in range(start, len(text)):
        c = text[i]
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return [*parts, text[at:i].strip()], i + 1
        if c == "," and depth == 1:
            parts.append(text[at:i].strip())
            at = i + 1
    raise ValueError(f"unbalanced parentheses in {text!r}")


@dataclass
class Printed:
    """A formula as steps: for each call that was taken out (array, arguments, function), and the text of the result."""

    text: str
    calls: list[tuple[str, list[str], str]] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)


def printed(text: str, ctype: Ctype, dialect: Dialect, into: Printed | None = None) -> Printed:
    """Return a formula written for a type: constants with its suffix, functions by the dialect's names.

    into: formulas of one loop, whose calls and helpers this one's are added to.
    """
    real = complex_part(ctype)
    made = Printed("") if into is None else Printed("", into.calls, into.helpers)
    if real.name == "float":
        text = _NUMBER.sub(lambda m: f"{m[1]}f", text)

    def walk(text: str) -> str:
        out, at = "", 0
        while (m := _CALL.search(text, at)) is not None:
            out += text[at : m.start()]
            args, at = arguments(text, m.end())
            out += called(m[1], [walk(a) for a in args])
        return out + text[at:]

    def called(name: str, args: list[str]) -> str:
        if name in ("sizeof", real.name, f"{real.name}2", "long", "int"):
            return f"{name}({', '.join(args)})"
        name = UNKNOWN.get(name, name)
        if name in SPECIAL and (dialect.vectors or not dialect.complete):
            raise Unprintable("vectors" if dialect.vectors else "a device without float64")
        if name in HELPERS:
            made.helpers.add(name)
            return f"{name}({', '.join(args)})"
        if name in TERNARY:
            return TERNARY[name].format(*[f"({a})" for a in args])
        if name == "signbit":
            sign = "as_int" if real.name == "float" else "as_long"
            return f"({sign}(({real.name})({args[0]})) < 0)"
        if name not in INLINE | LIBRARY:
            raise Unprintable(f"the function {name}")
        if dialect.vectors:
            own = OWN.get((name, real.name), name)
            if own in BY_PLACE:
                raise Unprintable(f"{name} of a vector's value")
            made.helpers |= {own} & set(HELPERS)
            return f"{own}({', '.join([f'({VECTORS[real.name]})({a})' for a in args])})"
        args = [f"({real.name})({a})" for a in args]
        if not dialect.cpu:
            return f"{name}{'f' if dialect.cuda and real.name == 'float' else ''}({', '.join(args)})"
        if name in INLINE:
            return f"__builtin_{name}{'f' if real.name == 'float' else ''}({', '.join(args)})"
        for array, known, f in made.calls:
            if f == name and known == args:
                return f"{array}[l]"
        array = f"t{len(made.calls)}"
        made.calls.append((array, args, name))
        if (name, real.name) in OWN:
            made.helpers.add(OWN[name, real.name])
        return f"{array}[l]"

    made.text = walk(text)
    return made


def vector_text(text: str, ctype: Ctype, into: Printed) -> str | None:
    """Return a formula whose names are vectors of a type, its helpers put into `into`: None where there is more in it than
    arithmetic and functions of values."""
    if ctype.name not in VECTORS or ctype.read != "{}":
        return None
    try:
        made = printed(text, ctype, Dialect(True, 1, vectors=True), into).text
    except Unprintable:
        return None
    return made if _ARITHMETIC.fullmatch(made) else None


def helper_text(helpers: set[str], part: str) -> str:
    """Return the definitions of helpers, each once, in an order in which they can be read."""
    wanted = [h for h in HELPERS if h in helpers or any(h in NEEDS.get(u, ()) for u in helpers)]
    text = ""
    for h in wanted:
        body = HELPERS[h]
        text += (body.format(T=part) if "{T}" in body else body).strip() + "\n"
    return text
