/* The passes over memory between a block's matrix products: norm, rotation, softmax, gated unit, cross-entropy.

   Each reads and writes once what torch's own operations read and write several times. Plain C that compilers turn into
   vector instructions; chosen at load time for the processor at hand. elementwise.py holds the same in torch, and the
   tests compare the two. Everything is calculated in float32; T is the type that tensors have in memory. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef _OPENMP
extern int omp_get_max_threads(void);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define EVERY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_PROCESSOR
#endif

#define INLINE static inline __attribute__((always_inline))

typedef int64_t count;

#define LANES 16 /* of float32 in the widest vector */

INLINE float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

INLINE uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

INLINE float read_bf16(uint16_t value) { return bits_to_float((uint32_t)value << 16); }

/* To the nearest, ties to even; a NaN stays one. */
INLINE uint16_t write_bf16(float value) {
  uint32_t bits = float_to_bits(value);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

INLINE float read_f32(float value) { return value; }
INLINE float write_f32(float value) { return value; }

/* e^x within 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]. 0 below -87, NaN stays. */
INLINE float exponential(float x) {
  float bounded = x > 88.0f ? 88.0f : x;
  float shifted = bounded * 1.44269504088896341f + 12582912.0f;
  float n = shifted - 12582912.0f;
  float r = bounded - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  uint32_t exponent = (float_to_bits(shifted) - 0x4b400000u + 127u) << 23;
  float result = p * bits_to_float(exponent);
  return x < -87.0f ? 0.0f : result;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

#define GELU_SCALE 0.7978845608028654f
#define GELU_CUBE 0.044715f

/* tanh by the exponential; exact enough, and it vectorises. */
INLINE float hyperbolic_tangent(float x) {
  float e = exponential(-2.0f * (x < 0 ? -x : x));
  float value = (1.0f - e) / (1.0f + e);
  return x < 0 ? -value : value;
}

/* Rows are divided among the threads in equal runs; what a row yields does not depend on who calculates it. */
typedef void (*work)(const void *arguments, count begin, count end);

static void share(work rows, const void *arguments, count n, count smallest) {
#ifdef _OPENMP
  if (n >= 2 * smallest && omp_get_max_threads() > 1) {
#pragma omp parallel
    {
      count threads = omp_get_num_threads(), me = omp_get_thread_num();
      count begin = n * me / threads, end = n * (me + 1) / threads;
      if (begin < end) rows(arguments, begin, end);
    }
    return;
  }
#endif
  rows(arguments, 0, n);
}

/* Raised with every change of a signature: a library of another version is not used. */
int weitiao_kernels_version(void) { return 2; }

#define T uint16_t
#define READ read_bf16
#define WRITE write_bf16
#define NAME(name) name##_bf16
#include "kernels.inc"
#undef T
#undef READ
#undef WRITE
#undef NAME

#define T float
#define READ read_f32
#define WRITE write_f32
#define NAME(name) name##_f32
#include "kernels.inc"
