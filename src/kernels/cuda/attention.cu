// Fused attention of one row of a batch, head by head:
//
//     out = softmax(Q K^T / sqrt(HEAD_DIM)) V (+ add_to)        map_out = map_in + sum over heads of the probabilities
//
// Queries and out are [positions, channels], keys and values [tokens, channels], the channels of head h are
// h * HEAD_DIM up to (h + 1) * HEAD_DIM. The probabilities are never stored: each block goes through the tokens in
// tiles and keeps a running maximum and sum for each query (Milakov and Gimelshein, arXiv 1805.02867; Dao et al.,
// arXiv 2205.14135). Sums are f32, in an order that depends on shapes alone: the same inputs give the same bytes.
//
// Compiled when first used, once for each pair of
//     ELEMENT   0: f32, 1: f16, 2: bf16
//     HEAD_DIM  1 to 256
// by a compiler that brings no headers, so 16-bit numbers are handled as their bits. attention.rs launches the
// kernels; tests/cuda/emulation.cpp runs this file on a processor, with EMULATED defined.
//
// `scale` is log2(e) / sqrt(HEAD_DIM) everywhere: exponentials are taken to base 2.

#if ELEMENT == 0
typedef float element;
#else
typedef unsigned short element;
#endif

// Channels of a head, filled up with zeros to whole steps of a matrix product.
#define DEPTH ((HEAD_DIM + 15) / 16 * 16)

#define MINUS_INFINITY __int_as_float(0xff800000)

// What only a GPU can do; the emulation has its own.
#ifndef EMULATED

__device__ __forceinline__ float of_neighbour(float value, int distance) {
    return __shfl_xor_sync(0xffffffffu, value, distance);
}

__device__ __forceinline__ float from_f16(unsigned short bits) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
    return result;
}

__device__ __forceinline__ unsigned short to_f16(float value) {
    unsigned short result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
// sum += a b: a 16 x 16, b 16 x 8, sum 16 x 8, spread over the lanes of a warp as PTX's mma.m16n8k16 wants it. With
// g = lane / 4 and t = lane % 4, each register holding a pair of neighbours, the lower one in its lower half:
//     a[0]: row g,     columns 2t, 2t + 1      a[2]: row g,     columns 2t + 8, 2t + 9
//     a[1]: row g + 8, columns 2t, 2t + 1      a[3]: row g + 8, columns 2t + 8, 2t + 9
//     b[0]: rows 2t, 2t + 1, column g          b[1]: rows 2t + 8, 2t + 9, column g
//     sum[0], sum[1]: row g, columns 2t, 2t + 1          sum[2], sum[3]: row g + 8, the same columns
__device__ __forceinline__ void multiply_add(float sum[4], const unsigned a[4], unsigned b0, unsigned b1) {
#if ELEMENT == 1
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

#endif // EMULATED

#if ELEMENT == 0
__device__ __forceinline__ float load(element value) { return value; }
__device__ __forceinline__ element rounded(float value) { return value; }
#elif ELEMENT == 1
__device__ __forceinline__ float load(element value) { return from_f16(value); }
__device__ __forceinline__ element rounded(float value) { return to_f16(value); }
#else
__device__ __forceinline__ float load(element value) { return __uint_as_float((unsigned)value << 16); }
// To the nearest, of two the even one; what is no number stays none.
__device__ __forceinline__ element rounded(float value) {
    const unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (element)(bits >> 16 | 0x40);
    return (element)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#endif

// ---------------------------------------------------------------------------------------------------------------------
// For every element and every GPU. Four neighbouring threads share a query, each with every fourth group of four
// channels; a block has 32 queries of one head.
//
// grid: (ceil(positions / 32), heads), block: 128

#define SCALAR_TILE (DEPTH <= 64 ? 64 : DEPTH <= 160 ? 32 : 16)
#define SCALAR_GROUP 8

extern "C" __global__ void __launch_bounds__(128) attend_scalar(
    const element *queries, const element *keys, const element *values, const element *add_to, element *out,
    float *log_sums, int positions, int tokens, int channels, float scale) {
    __shared__ float4 tile_keys[SCALAR_TILE * DEPTH / 4];
    __shared__ float4 tile_values[SCALAR_TILE * DEPTH / 4];
    const int quarter = threadIdx.x % 4;
    const int query = blockIdx.x * 32 + threadIdx.x / 4;
    const size_t head = (size_t)blockIdx.y * HEAD_DIM;

    // Number i of a thread is channel 16 (i / 4) + 4 quarter + i % 4 of the head.
    float own[DEPTH / 4], sums[DEPTH / 4];
    for (int i = 0; i < DEPTH / 4; i++) {
        const int channel = i / 4 * 16 + quarter * 4 + i % 4;
        const bool inside = query < positions && channel < HEAD_DIM;
        own[i] = inside ? load(queries[(size_t)query * channels + head + channel]) : 0.0f;
        sums[i] = 0.0f;
    }
    float largest = MINUS_INFINITY, total = 0.0f;

    for (int first = 0; first < tokens; first += SCALAR_TILE) {
        __syncthreads();
        for (int i = threadIdx.x; i < SCALAR_TILE * DEPTH; i += 128) {
            const int token = first + i / DEPTH, channel = i % DEPTH;
            const bool inside = token < tokens && channel < HEAD_DIM;
            const size_t at = (size_t)token * channels + head + channel;
            ((float *)tile_keys)[i] = inside ? load(keys[at]) : 0.0f;
            ((float *)tile_values)[i] = inside ? load(values[at]) : 0.0f;
        }
        __syncthreads();
        const int count = tokens - first < SCALAR_TILE ? tokens - first : SCALAR_TILE;
        // A group begins with a token that is there, so its maximum is a number.
        for (int group = 0; group < count; group += SCALAR_GROUP) {
            float scores[SCALAR_GROUP];
            float larger = largest;
            for (int k = 0; k < SCALAR_GROUP; k++) {
                float score = 0.0f;
                for (int i = 0; i < DEPTH / 16; i++) {
                    const float4 key = tile_keys[(group + k) * (DEPTH / 4) + i * 4 + quarter];
                    score += own[i * 4] * key.x + own[i * 4 + 1] * key.y + own[i * 4 + 2] * key.z + own[i * 4 + 3] * key.w;
                }
                score += of_neighbour(score, 1);
                score += of_neighbour(score, 2);
                scores[k] = group + k < count ? score * scale : MINUS_INFINITY;
                larger = fmaxf(larger, scores[k]);
            }
            const float shrink = exp2f(largest - larger);
            total *= shrink;
            for (int i = 0; i < DEPTH / 4; i++) sums[i] *= shrink;
            for (int k = 0; k < SCALAR_GROUP; k++) {
                const float weight = exp2f(scores[k] - larger);
                total += weight;
                for (int i = 0; i < DEPTH / 16; i++) {
                    const float4 value = tile_values[(group + k) * (DEPTH / 4) + i * 4 + quarter];
                    sums[i * 4] += weight * value.x;
                    sums[i * 4 + 1] += weight * value.y;
                    sums[i * 4 + 2] += weight * value.z;
                    sums[i * 4 + 3] += weight * value.w;
                }
            }
            largest = larger;
        }
    }

    if (query >= positions) return;
    for (int i = 0; i < DEPTH / 4; i++) {
        const int channel = i / 4 * 16 + quarter * 4 + i % 4;
        if (channel < HEAD_DIM) {
            const size_t at = (size_t)query * channels + head + channel;
            const float before = add_to ? load(add_to[at]) : 0.0f;
            out[at] = rounded(before + sums[i] / total);
        }
    }
    if (log_sums && quarter == 0) log_sums[(size_t)blockIdx.y * positions + query] = largest + log2f(total);
}

// ---------------------------------------------------------------------------------------------------------------------
// For 16-bit elements on tensor cores (compute capability 8.0 and up), where HEAD_DIM and channels are multiples of 8
// and all pointers of 16 bytes. A warp has 16 queries of one head; a block has 1 to 4 warps, which share the tiles.
//
// grid: (ceil(positions / (16 * warps)), heads), block: 32 * warps

#if ELEMENT != 0 && HEAD_DIM % 8 == 0 && (defined(EMULATED) || __CUDA_ARCH__ >= 800)

#define TILE (DEPTH <= 96 ? 64 : 32)
// Eight numbers more than there are: then the 32 words that a warp reads at once lie in 32 banks.
#define KEY_STRIDE (DEPTH + 8)
#define VALUE_STRIDE (TILE + 8)

__device__ __forceinline__ unsigned pair(float low, float high) {
    return (unsigned)rounded(low) | (unsigned)rounded(high) << 16;
}

extern "C" __global__ void __launch_bounds__(128) attend_tensor_cores(
    const element *queries, const element *keys, const element *values, const element *add_to, element *out,
    float *log_sums, int positions, int tokens, int channels, float scale) {
    // Keys as they are; values with rows and columns exchanged, so that neighbouring tokens make a pair.
    __shared__ uint4 tile_keys_memory[TILE * KEY_STRIDE / 8];
    __shared__ uint4 tile_values_memory[HEAD_DIM * VALUE_STRIDE / 8];
    element *const tile_keys = (element *)tile_keys_memory;
    element *const tile_values = (element *)tile_values_memory;
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int warps = blockDim.x / 32;
    const size_t head = (size_t)blockIdx.y * HEAD_DIM;
    // This lane's two queries: rows g and g + 8 of the warp's 16.
    const int row[2] = {(int)(blockIdx.x * warps + threadIdx.x / 32) * 16 + g,
                        (int)(blockIdx.x * warps + threadIdx.x / 32) * 16 + g + 8};

    unsigned own[DEPTH / 16][4];
#pragma unroll
    for (int step = 0; step < DEPTH / 16; step++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int channel = step * 16 + 2 * t + i / 2 * 8;
            const bool inside = row[i % 2] < positions && channel < HEAD_DIM;
            const element *from = queries + (size_t)row[i % 2] * channels + head + channel;
            own[step][i] = inside ? *(const unsigned *)from : 0;
        }
    }
    float sums[HEAD_DIM / 8][4];
#pragma unroll
    for (int n = 0; n < HEAD_DIM / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) sums[n][i] = 0.0f;
    }
    float largest[2] = {MINUS_INFINITY, MINUS_INFINITY}, total[2] = {0.0f, 0.0f};

    for (int first = 0; first < tokens; first += TILE) {
        const uint4 zeros = {0, 0, 0, 0};
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * (DEPTH / 8); i += blockDim.x) {
            const int token = i / (DEPTH / 8), channel = i % (DEPTH / 8) * 8;
            const bool inside = first + token < tokens && channel < HEAD_DIM;
            const element *from = keys + (size_t)(first + token) * channels + head + channel;
            *(uint4 *)(tile_keys + token * KEY_STRIDE + channel) = inside ? *(const uint4 *)from : zeros;
        }
        for (int i = threadIdx.x; i < TILE * (HEAD_DIM / 8); i += blockDim.x) {
            const int token = i % TILE, channel = i / TILE * 8;
            const element *from = values + (size_t)(first + token) * channels + head + channel;
            const uint4 eight = first + token < tokens ? *(const uint4 *)from : zeros;
            const unsigned words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
            for (int j = 0; j < 8; j++) {
                tile_values[(channel + j) * VALUE_STRIDE + token] = (element)(words[j / 2] >> j % 2 * 16);
            }
        }
        __syncthreads();

        // Scores of 16 queries and TILE tokens: scores[n][i] is of row i / 2 and token 8n + 2t + i % 2.
        float scores[TILE / 8][4];
        float larger[2] = {largest[0], largest[1]};
#pragma unroll
        for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) scores[n][i] = 0.0f;
            const element *key = tile_keys + (n * 8 + g) * KEY_STRIDE + 2 * t;
#pragma unroll
            for (int step = 0; step < DEPTH / 16; step++) {
                multiply_add(scores[n], own[step], *(const unsigned *)(key + step * 16),
                             *(const unsigned *)(key + step * 16 + 8));
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const bool inside = first + n * 8 + 2 * t + i % 2 < tokens;
                scores[n][i] = inside ? scores[n][i] * scale : MINUS_INFINITY;
                larger[i / 2] = fmaxf(larger[i / 2], scores[n][i]);
            }
        }
        // A tile begins with a token that is there, so with the other lanes of the row the maximum is a number.
        float shrink[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            larger[r] = fmaxf(larger[r], of_neighbour(larger[r], 1));
            larger[r] = fmaxf(larger[r], of_neighbour(larger[r], 2));
            shrink[r] = exp2f(largest[r] - larger[r]);
            total[r] *= shrink[r];
            largest[r] = larger[r];
        }
#pragma unroll
        for (int n = 0; n < HEAD_DIM / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) sums[n][i] *= shrink[i / 2];
        }
        // Sixteen tokens at a time: where the scores of two groups of eight lie is where the product wants its left side.
#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
            unsigned weights[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float low = exp2f(scores[step * 2 + i / 2][i % 2 * 2] - largest[i % 2]);
                const float high = exp2f(scores[step * 2 + i / 2][i % 2 * 2 + 1] - largest[i % 2]);
                total[i % 2] += low + high;
                weights[i] = pair(low, high);
            }
#pragma unroll
            for (int n = 0; n < HEAD_DIM / 8; n++) {
                const element *value = tile_values + (n * 8 + g) * VALUE_STRIDE + step * 16 + 2 * t;
                multiply_add(sums[n], weights, *(const unsigned *)value, *(const unsigned *)(value + 8));
            }
        }
    }

#pragma unroll
    for (int r = 0; r < 2; r++) {
        total[r] += of_neighbour(total[r], 1);
        total[r] += of_neighbour(total[r], 2);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        if (row[r] >= positions) continue;
#pragma unroll
        for (int n = 0; n < HEAD_DIM / 8; n++) {
            const size_t at = (size_t)row[r] * channels + head + n * 8 + 2 * t;
            const float before[2] = {add_to ? load(add_to[at]) : 0.0f, add_to ? load(add_to[at + 1]) : 0.0f};
            *(unsigned *)(out + at) =
                pair(before[0] + sums[n][r * 2] / total[r], before[1] + sums[n][r * 2 + 1] / total[r]);
        }
        if (log_sums && t == 0) log_sums[(size_t)blockIdx.y * positions + row[r]] = largest[r] + log2f(total[r]);
    }
}

#endif

// ---------------------------------------------------------------------------------------------------------------------
// The map [positions, tokens]: what the kernels above leave in log_sums [heads, positions], the logarithm of each
// query's sum of exponentials, turns scores into probabilities. A thread has one position and one token.
//
// grid: (ceil(tokens / 16), ceil(positions / 16)), block: (16, 16)

extern "C" __global__ void __launch_bounds__(256) add_to_map(
    const element *queries, const element *keys, const float *log_sums, const float *map_in, float *map_out,
    int positions, int tokens, int channels, int heads, float scale) {
    __shared__ float tile_queries[16][17], tile_keys[16][17];
    const int x = threadIdx.x, y = threadIdx.y;
    const int token = blockIdx.x * 16 + x, position = blockIdx.y * 16 + y;
    const bool inside = position < positions && token < tokens;
    float sum = 0.0f;
    for (int head = 0; head < heads; head++) {
        float score = 0.0f;
        for (int channel = 0; channel < HEAD_DIM; channel += 16) {
            const bool is_channel = channel + x < HEAD_DIM;
            const size_t at = (size_t)head * HEAD_DIM + channel + x;
            const int loaded = blockIdx.x * 16 + y;
            __syncthreads();
            tile_queries[y][x] =
                is_channel && position < positions ? load(queries[(size_t)position * channels + at]) : 0.0f;
            tile_keys[y][x] = is_channel && loaded < tokens ? load(keys[(size_t)loaded * channels + at]) : 0.0f;
            __syncthreads();
            for (int i = 0; i < 16; i++) score += tile_queries[y][i] * tile_keys[x][i];
        }
        if (inside) sum += exp2f(score * scale - log_sums[(size_t)head * positions + position]);
    }
    if (inside) {
        const size_t at = (size_t)position * tokens + token;
        map_out[at] = map_in[at] + sum;
    }
}
