// Runs a CUDA kernel on the host, one block after another. A kernel whose threads wait for each other runs its threads as
// coroutines, in turn: each time that it waits, a thread says where, and all threads of a warp (or of the block) must be there.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

struct Three { unsigned x, y, z; };
extern "C" { Three threadIdx, blockIdx, blockDim, gridDim; }

static const size_t STACK = 64 * 1024;
static std::vector<ucontext_t> threads;
static std::vector<char> stacks;
static std::vector<int> where_;  // the place at which a thread waits, -1 when it has ended
static std::vector<uint64_t> slots;  // what the threads of a block show each other
static ucontext_t scheduler;
static unsigned current;
static void (*body)(void **);
static void **arguments;
static int failed;

// What the compiler's checks call: a pointer that is not aligned for what it points to, an index beyond an array.
extern "C" void __ubsan_handle_type_mismatch_v1(void *, void *) { failed = 2; }
extern "C" void __ubsan_handle_out_of_bounds(void *, void *) { failed = 3; }

extern "C" void w_wait(int place) {
  where_[current] = place;
  swapcontext(&threads[current], &scheduler);
}

extern "C" void w_show(const void *value, int size) { memcpy(&slots[current * 2], value, size); }
extern "C" void w_see(int other, void *value, int size) { memcpy(value, &slots[(current ^ other) * 2], size); }

static void thread() {
  body(arguments);
  where_[current] = -1;
  swapcontext(&threads[current], &scheduler);
}

static void block_of_coroutines() {
  unsigned n = blockDim.x;
  for (unsigned t = 0; t < n; t++) {
    getcontext(&threads[t]);
    threads[t].uc_stack.ss_sp = &stacks[t * STACK];
    threads[t].uc_stack.ss_size = STACK;
    threads[t].uc_link = nullptr;
    makecontext(&threads[t], thread, 0);
  }
  for (bool running = true; running && !failed;) {
    for (current = 0; current < n; current++) {
      threadIdx = {current, 0, 0};
      swapcontext(&scheduler, &threads[current]);
    }
    running = where_[0] != -1;
    for (unsigned t = 0; t < n; t++) {
      unsigned with = where_[t] & 1 ? 0 : t / 32 * 32;  // odd places are the block's, even ones a warp's
      if (where_[t] != where_[with]) failed = 1;
      if ((where_[t] != -1) != running) failed = 1;
    }
  }
}

// Returns 0, 1 where threads that had to wait for each other were at different places, or what a check found.
extern "C" int w_launch(void (*go)(void **), void **args, unsigned gx, unsigned gy, unsigned bx, int waits) {
  body = go;
  arguments = args;
  blockDim = {bx, 1, 1};
  gridDim = {gx, gy, 1};
  failed = 0;
  if (waits) {
    threads.resize(bx);
    stacks.resize(bx * STACK);
    where_.assign(bx, 0);
    slots.assign(bx * 2, 0);
  }
  for (unsigned y = 0; y < gy && !failed; y++)
    for (unsigned x = 0; x < gx && !failed; x++) {
      blockIdx = {x, y, 0};
      if (waits) block_of_coroutines();
      else for (unsigned t = 0; t < bx; t++) { threadIdx = {t, 0, 0}; go(args); }
    }
  return failed;
}
