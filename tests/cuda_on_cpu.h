// What CUDA has and C++ has not, so that g++ compiles kernels and runs them on host memory (see cuda_on_cpu.py).
//
// Blocks run one after the other. A worker, a fiber with a stack of its own, runs one thread of the block after the
// other; where a thread waits at a barrier its worker stays there, and another goes on with the threads that are left.
// When every thread of the block has come to the barrier they are resumed in the same order.
//
// Whatever g++'s checks find in a kernel ends the launch: misaligned and null pointers, indices out of an array of
// fixed size, integers that overflow or are divided by zero; so does an access to memory that the process has not got.

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace cuda_on_cpu {
struct Triple {
    unsigned x, y, z;
    unsigned volume() const { return x * y * z; }
    Triple place(unsigned i) const { return {i % x, i / x % y, i / x / y}; }  // of number i, x running fastest
};
}  // namespace cuda_on_cpu

static cuda_on_cpu::Triple threadIdx, blockIdx, blockDim, gridDim;

extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));  // set by the linker
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

namespace cuda_on_cpu {

struct Worker {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    unsigned thread;  // what it runs
    int line;         // the line of the barrier where it waits
};

const size_t STACK = 1 << 17;
static std::vector<std::unique_ptr<Worker>> workers;
static std::vector<Worker*> waiting;  // at a barrier, in order
static ucontext_t scheduler;
static Worker* current;
static std::function<void()> kernel_of_one_thread;
static unsigned started;  // how many of the block's threads
static bool from_the_last;
static char error[400];

static void enter(unsigned thread) {
    current->thread = thread;
    threadIdx = blockDim.place(thread);
}

static void work() {  // a worker's life
    for (Worker* self = current;;) {
        while (started < blockDim.volume()) {
            unsigned thread = started++;
            enter(from_the_last ? blockDim.volume() - 1 - thread : thread);
            kernel_of_one_thread();
        }
        swapcontext(&self->context, &scheduler);
    }
}

static void resume(Worker* worker) {  // until it waits at a barrier, or has nothing left to do
    current = worker;
    swapcontext(&scheduler, &worker->context);
}

static Worker* worker(size_t number) {
    if (number == workers.size()) {
        workers.emplace_back(new Worker);
        Worker& fresh = *workers.back();
        fresh.stack.reset(new char[STACK]);
        getcontext(&fresh.context);
        fresh.context.uc_stack.ss_sp = fresh.stack.get();
        fresh.context.uc_stack.ss_size = STACK;
        makecontext(&fresh.context, work, 0);
    }
    return workers[number].get();
}

static void fail(const char* what, int line) {  // of a kernel: the launch ends here
    int used = line ? snprintf(error, sizeof error, "line %d, ", line) : 0;
    snprintf(error + used, sizeof error - used, "thread (%u, %u, %u) of block (%u, %u, %u): %s", threadIdx.x,
             threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z, what);
    setcontext(&scheduler);
}

static void fail_of_signal(int) { fail("an access to memory that is not there", 0); }

struct SignalsCaught {  // while a kernel runs
    struct sigaction before;
    SignalsCaught() {
        struct sigaction own = {};
        own.sa_handler = fail_of_signal;
        sigaction(SIGSEGV, &own, &before);
    }
    ~SignalsCaught() { sigaction(SIGSEGV, &before, nullptr); }
};

__attribute__((noinline)) static void barrier(int line) {
    current->line = line;
    waiting.push_back(current);
    swapcontext(&current->context, &scheduler);
}

static void check_barrier() {  // where some of the block's threads wait
    Worker* first = waiting.front();
    if (waiting.size() != blockDim.volume())
        snprintf(error, sizeof error,
                 "line %d, block (%u, %u, %u): %zu of %u threads wait at a barrier, the others have finished",
                 first->line, blockIdx.x, blockIdx.y, blockIdx.z, waiting.size(), blockDim.volume());
    for (Worker* other : waiting)
        if (!*error && other->line != first->line)
            snprintf(error, sizeof error, "block (%u, %u, %u): threads wait at different barriers, of lines %d and %d",
                     blockIdx.x, blockIdx.y, blockIdx.z, first->line, other->line);
}

static void run_block() {
    memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);  // NaN until it is written
    started = 0;
    while (!*error && started < blockDim.volume()) resume(worker(waiting.size()));
    while (!*error && !waiting.empty()) {
        check_barrier();
        std::vector<Worker*> ready;
        ready.swap(waiting);
        for (Worker* next : ready) {
            if (*error) break;
            current = next;
            enter(next->thread);
            resume(next);
        }
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

// Runs a kernel; `shape` is the grid's x, y, z and the block's. Returns what went wrong, or an empty text.
template <class... A>
static const char* launch(void (*kernel)(A...), void** arguments, const unsigned* shape, int reversed) {
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    from_the_last = reversed;
    *error = 0;
    SignalsCaught caught;
    kernel_of_one_thread = [=] { call(kernel, arguments, std::index_sequence_for<A...>()); };
    uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
    for (uint64_t i = 0; i < blocks && !*error; i++) {
        uint64_t block = reversed ? blocks - 1 - i : i;
        blockIdx = {unsigned(block % gridDim.x), unsigned(block / gridDim.x % gridDim.y),
                    unsigned(block / gridDim.x / gridDim.y)};
        run_block();
    }
    if (*error) {  // the workers are in the middle of something
        waiting.clear();
        workers.clear();
    }
    return error;
}

// "const float32*", "float32*", "int64" ...: a parameter's type, with NumPy's names. A structure of two bytes is
// bfloat16.
template <class P>
static std::string parameter() {
    using Pointed = std::remove_pointer_t<P>;
    using Type = std::remove_cv_t<Pointed>;
    std::string bits;
    if constexpr (!std::is_void<Type>::value) bits = std::to_string(8 * sizeof(Type));
    std::string name = std::is_same<Type, bool>::value       ? "bool"
                       : std::is_floating_point<Type>::value ? "float" + bits
                       : std::is_unsigned<Type>::value       ? "uint" + bits
                       : std::is_integral<Type>::value       ? "int" + bits
                       : bits == "16"                        ? "bfloat16"
                                                             : "unknown";
    if (!std::is_pointer<P>::value) return name;
    return (std::is_const<Pointed>::value ? "const " : "") + name + "*";
}

template <class... A>
static const char* signature(void (*)(A...)) {
    static std::string text;
    text.clear();
    ((text += (text.empty() ? "" : ", ") + parameter<A>()), ...);
    return text.c_str();
}

}  // namespace cuda_on_cpu


// --- what g++'s checks call -----------------------------------------------------------------------------------------
//
// Each is given a structure that begins with the place in the source, and numbers that are of no use here.

struct Place {
    const char* file;
    uint32_t line, column;
};
#define FINDING(name, what) \
    extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##name##_abort(Place* place, ...) { \
        cuda_on_cpu::fail(what, place->line); \
        abort(); \
    }
extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_type_mismatch_v1_abort(Place* place,
                                                                                            uintptr_t to) {
    cuda_on_cpu::fail(to ? "a misaligned pointer" : "a null pointer", place->line);
    abort();
}
FINDING(pointer_overflow, "a pointer beyond all memory")
FINDING(out_of_bounds, "an index out of an array's bounds")
FINDING(add_overflow, "an integer overflows")
FINDING(sub_overflow, "an integer overflows")
FINDING(mul_overflow, "an integer overflows")
FINDING(negate_overflow, "an integer overflows")
FINDING(divrem_overflow, "an integer is divided by zero, or the result overflows")
FINDING(shift_out_of_bounds, "an integer is shifted by too much")
#undef FINDING


// --- CUDA's words ---------------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory"), used))
#define __syncthreads() cuda_on_cpu::barrier(__LINE__)

#define SMALLER_AND_LARGER(A, B, Result) /* CUDA's overloads, no others */ \
    static inline Result min(A a, B b) { return (Result)b < (Result)a ? b : a; } \
    static inline Result max(A a, B b) { return (Result)a < (Result)b ? b : a; }
SMALLER_AND_LARGER(int, int, int)
SMALLER_AND_LARGER(unsigned, unsigned, unsigned)
SMALLER_AND_LARGER(int, unsigned, unsigned)
SMALLER_AND_LARGER(unsigned, int, unsigned)
SMALLER_AND_LARGER(long, long, long)
SMALLER_AND_LARGER(unsigned long, unsigned long, unsigned long)
SMALLER_AND_LARGER(long long, long long, long long)
SMALLER_AND_LARGER(unsigned long long, unsigned long long, unsigned long long)
#undef SMALLER_AND_LARGER
static inline float min(float a, float b) { return fminf(a, b); }  // of a number and NaN: the number
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }

template <class To, class From>
static inline To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To result;
    memcpy(&result, &value, sizeof result);
    return result;
}
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
static inline int __float_as_int(float x) { return same_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
template <class T>
static inline T __ldg(const T* x) {
    return *x;
}
