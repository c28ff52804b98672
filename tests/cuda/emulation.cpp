// Runs src/kernels/cuda/attention.cu, as it stands, on a processor and compares what it computes with the definition
// in double precision. For machines without a GPU; what it cannot show is that PTX's instructions are as described in
// that file.
//
//     g++ -std=c++17 -O1 -fsanitize=address,alignment -DELEMENT=1 -DHEAD_DIM=40 tests/cuda/emulation.cpp && ./a.out
//
// A CUDA thread is a coroutine, a block is run to its end before the next. A warp goes on for as long as it need not
// wait for others, in rising and in falling order: a barrier that is missing shows in one of them. The sanitizer finds
// accesses outside of arrays, shared memory included.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#define EMULATED
#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(threads)

struct Index { unsigned x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };

// -- Threads ----------------------------------------------------------------------------------------------------------

struct Barrier {
    int size = 0, arrived = 0, generation = 0;
};
struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 18);
    Index index;
    int number;
    bool done;
    // What it waits for, and since which generation of it.
    Barrier *barrier;
    int generation;

    bool can_go_on() const { return !done && !(barrier && barrier->generation == generation); }
};

static std::vector<Thread> threads;
static Thread *current;
static ucontext_t scheduler;
static Index blockIdx, blockDim;
static std::function<void()> kernel;
static Barrier block_barrier, warp_barriers[32];
#define threadIdx (current->index)

static void wait(Barrier &barrier) {
    current->barrier = &barrier;
    current->generation = barrier.generation;
    if (++barrier.arrived == barrier.size) {
        barrier.arrived = 0;
        barrier.generation++;
    }
    if (!current->can_go_on()) swapcontext(&current->context, &scheduler);
}

static void __syncthreads() { wait(block_barrier); }

static void run_thread() {
    kernel();
    current->done = true;
    swapcontext(&current->context, &scheduler);
}

static void launch(Index grid, Index block, bool falling, std::function<void()> call) {
    kernel = call;
    blockDim = block;
    const int count = block.x * block.y;
    threads.resize(count);
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++) {
        for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
            block_barrier = {count, 0, 0};
            for (auto &barrier : warp_barriers) barrier = {32, 0, 0};
            for (int i = 0; i < count; i++) {
                Thread &thread = threads[i];
                thread.index = {i % block.x, i / block.x};
                thread.number = i;
                thread.done = false;
                thread.barrier = nullptr;
                getcontext(&thread.context);
                thread.context.uc_stack.ss_sp = thread.stack.data();
                thread.context.uc_stack.ss_size = thread.stack.size();
                thread.context.uc_link = nullptr;
                makecontext(&thread.context, run_thread, 0);
            }
            for (bool moved = true; moved;) {
                moved = false;
                for (int i = 0; i < count; i += 32) {
                    for (bool warp_moved = true; warp_moved;) {
                        warp_moved = false;
                        for (int j = i; j < i + 32; j++) {
                            current = &threads[falling ? count - 1 - j : j];
                            if (!current->can_go_on()) continue;
                            warp_moved = moved = true;
                            swapcontext(&scheduler, &current->context);
                        }
                    }
                }
            }
            for (const Thread &thread : threads) {
                if (!thread.done) printf("a thread waits for ever\n"), abort();
            }
        }
    }
}

// -- What only a GPU can do -------------------------------------------------------------------------------------------

static float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static float __int_as_float(unsigned bits) { return __uint_as_float(bits); }
static unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static float from_f16(unsigned short bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 0    ? std::ldexp((float)fraction, -24)
                       : exponent == 31 ? (fraction ? NAN : INFINITY)
                                        : std::ldexp((float)(fraction + 1024), exponent - 25);
    return bits >> 15 ? -size : size;
}
static unsigned short to_f16(float value) {
    const unsigned short sign = std::signbit(value) ? 0x8000 : 0;
    const float size = std::fabs(value);
    if (std::isnan(value)) return 0x7fff;
    if (size < std::ldexp(1.0f, -14)) return sign | (unsigned short)std::nearbyint(std::ldexp(size, 24));
    int exponent;
    const float fraction = std::frexp(size, &exponent);
    // 11 binary digits; rounding up to the next power carries into the exponent by itself.
    const int bits = (exponent + 13) * 1024 + (int)std::nearbyint(std::ldexp(fraction, 11));
    return sign | (unsigned short)std::min(bits, 0x7c00);
}

static struct Lane {
    float value;
    unsigned a[4], b[2];
} lanes[4][32];

static float of_neighbour(float value, int distance) {
    const int warp = current->number / 32, lane = current->number % 32;
    lanes[warp][lane].value = value;
    wait(warp_barriers[warp]);
    const float found = lanes[warp][lane ^ distance].value;
    wait(warp_barriers[warp]);
    return found;
}

// The value of one half of a register.
static float half_of(unsigned bits, int which) {
    const unsigned short half = bits >> which * 16;
    return ELEMENT == 1 ? from_f16(half) : __uint_as_float((unsigned)half << 16);
}

// mma.m16n8k16: the two matrices are put together from all lanes' registers, and multiplied.
static void multiply_add(float sum[4], const unsigned a[4], unsigned b0, unsigned b1) {
    const int warp = current->number / 32, lane = current->number % 32;
    Lane &own = lanes[warp][lane];
    std::copy(a, a + 4, own.a);
    own.b[0] = b0, own.b[1] = b1;
    wait(warp_barriers[warp]);
    const auto left = [&](int row, int column) {
        const Lane &of = lanes[warp][row % 8 * 4 + column % 8 / 2];
        return half_of(of.a[row / 8 + column / 8 * 2], column % 2);
    };
    const auto right = [&](int row, int column) {
        const Lane &of = lanes[warp][column * 4 + row % 8 / 2];
        return half_of(of.b[row / 8], row % 2);
    };
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) sum[i] += left(row, k) * right(k, column);
    }
    wait(warp_barriers[warp]);
}

#include "../../src/kernels/cuda/attention.cu"

// -- The cases --------------------------------------------------------------------------------------------------------

static std::mt19937 generator(7);

static std::vector<element> random_elements(size_t count) {
    std::normal_distribution<float> normal(0.0f, 1.5f);
    std::vector<element> values(count);
    for (auto &value : values) value = rounded(normal(generator));
    return values;
}

struct Problem {
    int positions, tokens, heads;
    bool tensor_cores, falling;
    int warps;
};

// Largest differences from the definition, of the output and of the map.
static void run(const Problem &problem, double &out_off, double &map_off) {
    const auto [positions, tokens, heads, tensor_cores, falling, warps] = problem;
    const int channels = heads * HEAD_DIM;
    const float scale = 1.44269504f / std::sqrt((float)HEAD_DIM);
    const auto queries = random_elements((size_t)positions * channels), keys = random_elements((size_t)tokens * channels);
    const auto values = random_elements((size_t)tokens * channels), before = random_elements((size_t)positions * channels);
    const bool adds = falling;
    std::vector<element> out((size_t)positions * channels);
    std::vector<float> log_sums((size_t)heads * positions), map_in((size_t)positions * tokens, 0.25f);
    std::vector<float> map_out(map_in.size(), NAN);
    const element *add_to = adds ? before.data() : nullptr;
    if (tensor_cores) {
#ifdef TILE
        launch({(unsigned)(positions + 16 * warps - 1) / (16 * warps), (unsigned)heads}, {32u * warps, 1}, falling, [&] {
            attend_tensor_cores(queries.data(), keys.data(), values.data(), add_to, out.data(), log_sums.data(),
                                positions, tokens, channels, scale);
        });
#endif
    } else {
        launch({(unsigned)(positions + 31) / 32, (unsigned)heads}, {128, 1}, falling, [&] {
            attend_scalar(queries.data(), keys.data(), values.data(), add_to, out.data(), log_sums.data(), positions,
                          tokens, channels, scale);
        });
    }
    launch({(unsigned)(tokens + 15) / 16, (unsigned)(positions + 15) / 16}, {16, 16}, falling, [&] {
        add_to_map(queries.data(), keys.data(), log_sums.data(), map_in.data(), map_out.data(), positions, tokens,
                   channels, heads, scale);
    });

    std::vector<double> map(map_in.begin(), map_in.end());
    for (int head = 0; head < heads; head++) {
        const auto at = [&](int row, int channel) { return (size_t)row * channels + head * HEAD_DIM + channel; };
        for (int position = 0; position < positions; position++) {
            std::vector<double> weights(tokens);
            double total = 0;
            for (int token = 0; token < tokens; token++) {
                double score = 0;
                for (int c = 0; c < HEAD_DIM; c++) score += (double)load(queries[at(position, c)]) * load(keys[at(token, c)]);
                total += weights[token] = std::exp(score / std::sqrt((double)HEAD_DIM));
            }
            for (int token = 0; token < tokens; token++) map[(size_t)position * tokens + token] += weights[token] / total;
            for (int c = 0; c < HEAD_DIM; c++) {
                double wanted = adds ? load(before[at(position, c)]) : 0;
                for (int token = 0; token < tokens; token++) wanted += weights[token] / total * load(values[at(token, c)]);
                const double off = std::fabs(wanted - load(out[at(position, c)])) / (1 + std::fabs(wanted));
                out_off = std::isnan(off) ? INFINITY : std::max(out_off, off);
            }
        }
    }
    for (size_t i = 0; i < map.size(); i++) {
        const double off = std::fabs(map[i] - map_out[i]);
        map_off = std::isnan(off) ? INFINITY : std::max(map_off, off);
    }
}

int main() {
    // Half a step of the element's last digit, and as much again for the rounded weights.
    const double out_limit = ELEMENT == 0 ? 1e-5 : ELEMENT == 1 ? 1.0 / 1024 : 1.0 / 128, map_limit = 1e-5;
    int failed = 0, cases = 0;
    for (bool tensor_cores : {false, true}) {
#ifndef TILE
        if (tensor_cores) continue;
#endif
        double out_off = 0, map_off = 0;
        for (int positions : {1, 33, 70}) {
            for (int tokens : {1, 5, 77, 129}) {
                for (bool falling : {false, true}) {
                    const int heads = 1 + (positions + tokens) % 3, warps = positions > 33 ? 4 : positions;
                    run({positions, tokens, heads, tensor_cores, falling, std::min(warps, 2 + 2 * (positions > 33))},
                        out_off, map_off);
                    cases++;
                }
            }
        }
        const bool good = out_off < out_limit && map_off < map_limit;
        printf("element %d, %3d channels a head, %s: off by %.1e, map by %.1e: %s\n", ELEMENT, HEAD_DIM,
               tensor_cores ? "tensor cores" : "scalar      ", out_off, map_off, good ? "good" : "WRONG");
        failed += !good;
    }
    return failed || !cases;
}
