// The CUDA kernels of gpu.py: what NumPy would do in several passes over a large array, in one.
//
// Compiled for one type at a time: T is what arrays hold (float, double, bf16), ACC what is computed in and what rows of
// statistics and weights hold (float, double), V how many neighbours a thread takes at once (16 bytes where the columns
// allow it, else 1). Every array is contiguous; an M×C matrix has its pixels as rows, and C is a multiple of V.
//
// Sums are taken in a fixed order and gathered, never scattered with atomics: the same input gives the same bits.

struct bf16 {  // the upper half of a float
    unsigned short bits;
    bf16() = default;
    __device__ bf16(float value) {
        unsigned int whole = reinterpret_cast<unsigned int&>(value);
        // To nearest, ties to even; NaN keeps its upper half, which rounding could turn into infinity.
        bits = (value != value) ? (whole >> 16 | 64) : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
    }
    __device__ operator float() const {
        unsigned int whole = (unsigned int)bits << 16;
        return reinterpret_cast<float&>(whole);
    }
};

typedef TYPE T;  // these three come from the compiler's command line
typedef ACCUMULATOR ACC;
constexpr int V = NEIGHBOURS;

struct alignas(V * sizeof(T)) Pack {  // V neighbours, read and written in one go
    T v[V];
};

#define THREADS 256  // of a block

__device__ __forceinline__ const Pack& pack(const T* x, long long i) { return reinterpret_cast<const Pack*>(x)[i]; }
__device__ __forceinline__ Pack& pack(T* x, long long i) { return reinterpret_cast<Pack*>(x)[i]; }
__device__ __forceinline__ unsigned thread() { return blockIdx.x * blockDim.x + threadIdx.x; }  // below 2^31: launch.py


// --- sums down the columns ------------------------------------------------------------------------------------------
//
// Blocks of blockDim.x × blockDim.y = THREADS threads. Block (i, p) works on blockDim.x packs of columns and on the rows
// p·rows .. (p+1)·rows; its threads take every blockDim.y-th of these, AHEAD of them at a time, so that several reads
// are on their way. What the threads found is merged through shared memory into a line of `partial`, and the lines by a
// second kernel, of blocks of LANES columns × LANES threads each. Always in the same order.

#define AHEAD 4
#define LANES 32

// Reads AHEAD rows of a column of packs, from `row` on and blockDim.y apart, those before `last`.
__device__ __forceinline__ void read_rows(const T* x, Pack* value, int row, int last, int columns, int column) {
    for (int j = 0; j < AHEAD; j++)
        if (row + j * (int)blockDim.y < last) value[j] = pack(x, (long long)(row + j * blockDim.y) * columns + column);
}

// How many rows from `row` on, blockDim.y apart, come before `last`: those of one thread.
__device__ __forceinline__ ACC rows_of(int row, int last) {
    return max(0, (last - row + (int)blockDim.y - 1) / (int)blockDim.y);
}

// (mean, M2) of numbers in parts: part i has n_i of them, with mean m_i and M2_i = Σ (x - m_i)². With the mean of all,
// m = Σ n_i m_i / Σ n_i, M2 is Σ M2_i + Σ n_i (m_i - m)² (Chan et al. 1979): nothing large is subtracted.

// Reads x M×C once; writes the mean and M2 of each block's rows, partial P×2×C.
extern "C" __global__ void moments_of_blocks(const T* x, ACC* partial, int M, int C, int rows) {
    __shared__ ACC means[THREADS * V], m2s[THREADS * V];
    int column = blockIdx.x * blockDim.x + threadIdx.x, columns = C / V;
    int first = blockIdx.y * rows, last = min(M, first + rows), place = threadIdx.y * blockDim.x + threadIdx.x;
    ACC mean[V] = {}, m2[V] = {}, n = 0;
    Pack value[AHEAD];
    for (int row = first + threadIdx.y; column < columns && row < last; row += AHEAD * blockDim.y) {
        read_rows(x, value, row, last, columns, column);
        for (int j = 0; j < AHEAD && row + j * (int)blockDim.y < last; j++) {  // Welford's update
            ACC share = 1 / (n += 1);
            for (int k = 0; k < V; k++) {
                ACC delta = ACC(value[j].v[k]) - mean[k];
                mean[k] += delta * share;
                m2[k] += delta * (ACC(value[j].v[k]) - mean[k]);
            }
        }
    }
    for (int k = 0; k < V; k++) means[place * V + k] = mean[k], m2s[place * V + k] = m2[k];
    __syncthreads();
    int width = blockDim.x * V, c = blockIdx.x * width + place;  // from here on a thread has one column
    if (place >= width || c >= C) return;
    ACC total = 0, squares = 0;
    for (int y = 0; y < blockDim.y; y++) total += rows_of(first + y, last) * means[y * width + place];
    total /= last - first;
    for (int y = 0; y < blockDim.y; y++) {
        ACC off = means[y * width + place] - total;
        squares += m2s[y * width + place] + rows_of(first + y, last) * off * off;
    }
    partial[2ll * blockIdx.y * C + c] = total;
    partial[(2ll * blockIdx.y + 1) * C + c] = squares;
}

// The sum over the LANES threads of a column, for each of them.
__device__ __forceinline__ ACC over_lanes(ACC value) {
    __shared__ ACC values[LANES][LANES];
    __syncthreads();  // what was here before has been read
    values[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    ACC total = 0;
    for (int y = 0; y < LANES; y++) total += values[y][threadIdx.x];
    return total;
}

// Reads partial P×2×C, of blocks of `rows` of the M rows; writes the mean C and the variance C (M2 divided by M).
extern "C" __global__ void merge_moments(const ACC* partial, ACC* mean, ACC* variance, int M, int C, int rows) {
    int c = blockIdx.x * LANES + threadIdx.x, P = (M + rows - 1) / rows;
    ACC total = 0, squares = 0;
    for (int p = threadIdx.y; c < C && p < P; p += LANES) total += min(rows, M - p * rows) * partial[2ll * p * C + c];
    total = over_lanes(total) / M;
    for (int p = threadIdx.y; c < C && p < P; p += LANES) {
        ACC off = partial[2ll * p * C + c] - total;
        squares += partial[(2ll * p + 1) * C + c] + min(rows, M - p * rows) * off * off;
    }
    squares = over_lanes(squares);
    if (threadIdx.y || c >= C) return;
    mean[c] = total;
    variance[c] = squares / M;
}

// What a block's threads have summed, of one column of packs each, added up into line blockIdx.y of `partial`.
__device__ __forceinline__ void add_up(const ACC* sum, ACC* partial, int C) {
    __shared__ ACC sums[THREADS * V];
    int place = threadIdx.y * blockDim.x + threadIdx.x, width = blockDim.x * V, c = blockIdx.x * width + place;
    __syncthreads();  // what was here before has been read
    for (int k = 0; k < V; k++) sums[place * V + k] = sum[k];
    __syncthreads();
    if (place >= width || c >= C) return;
    ACC total = 0;
    for (int y = 0; y < blockDim.y; y++) total += sums[y * width + place];
    partial[(long long)blockIdx.y * C + c] = total;
}

// Reads x M×C once; writes the sums of each block's rows, partial P×C.
extern "C" __global__ void sums_of_blocks(const T* x, ACC* partial, int M, int C, int rows) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, columns = C / V;
    int first = blockIdx.y * rows, last = min(M, first + rows);
    ACC sum[V] = {};
    Pack value[AHEAD];
    for (int row = first + threadIdx.y; column < columns && row < last; row += AHEAD * blockDim.y) {
        read_rows(x, value, row, last, columns, column);
        for (int j = 0; j < AHEAD && row + j * (int)blockDim.y < last; j++)
            for (int k = 0; k < V; k++) sum[k] += ACC(value[j].v[k]);
    }
    add_up(sum, partial, C);
}

// Reads dy, x and, unless it is null, y M×C once; with y writes g = dy where y > 0, else 0. Without it g is dy itself.
// Writes Σ g and Σ g (x - mean) of each block's rows, partial P×2×C, with P the number of blocks of rows.
extern "C" __global__ void gradients_of_blocks(const T* dy, const T* x, const ACC* mean, const T* y, T* g, ACC* partial,
                                               int M, int C, int rows) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, columns = C / V;
    int first = blockIdx.y * rows, last = min(M, first + rows);
    ACC sum[V] = {}, centred[V] = {}, middle[V] = {};
    Pack gradient[AHEAD], value[AHEAD], output[AHEAD];
    for (int k = 0; column < columns && k < V; k++) middle[k] = mean[column * V + k];
    for (int row = first + threadIdx.y; column < columns && row < last; row += AHEAD * blockDim.y) {
        read_rows(dy, gradient, row, last, columns, column);
        read_rows(x, value, row, last, columns, column);
        if (y) read_rows(y, output, row, last, columns, column);
        for (int j = 0; j < AHEAD && row + j * (int)blockDim.y < last; j++) {
            for (int k = 0; k < V; k++) {
                if (y && !(ACC(output[j].v[k]) > 0)) gradient[j].v[k] = T(0);
                sum[k] += ACC(gradient[j].v[k]);
                centred[k] += ACC(gradient[j].v[k]) * (ACC(value[j].v[k]) - middle[k]);
            }
            if (y) pack(g, (long long)(row + j * blockDim.y) * columns + column) = gradient[j];
        }
    }
    add_up(sum, partial + (long long)blockIdx.y * C, C);  // add_up skips blockIdx.y lines of C: together 2 C a block
    add_up(centred, partial + (long long)(blockIdx.y + 1) * C, C);
}

// Reads partial P×C; writes the sums of its columns, C.
extern "C" __global__ void merge_sums(const ACC* partial, ACC* sums, int P, int C) {
    int c = blockIdx.x * LANES + threadIdx.x;
    ACC total = 0;
    for (int p = threadIdx.y; c < C && p < P; p += LANES) total += partial[(long long)p * C + c];
    total = over_lanes(total);
    if (threadIdx.y == 0 && c < C) sums[c] = total;
}


// --- normalise and activate -----------------------------------------------------------------------------------------

// Reads x M×C and, unless null, residual M×C once; writes y = x · scale + shift + residual, with `relu` no less than 0.
// A null scale is 1. y may be x.
extern "C" __global__ void scale_shift(const T* x, const ACC* scale, const ACC* shift, const T* residual, T* y,
                                       unsigned packs, int C, int relu) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V) * V;
    Pack value = pack(x, i), rest = residual ? pack(residual, i) : value;
    for (int k = 0; k < V; k++) {
        ACC out = ACC(value.v[k]) * (scale ? scale[c + k] : ACC(1)) + shift[c + k];
        if (residual) out += ACC(rest.v[k]);
        value.v[k] = T(relu && !(out > 0) ? ACC(0) : out);
    }
    pack(y, i) = value;
}

// The rows of C with which a column is normalised. Writes r = 1/√(variance + eps), scale = γ r and shift = β - γ r mean.
extern "C" __global__ void normaliser(const ACC* mean, const ACC* variance, const ACC* gamma, const ACC* beta, ACC* r,
                                      ACC* scale, ACC* shift, ACC eps, int C) {
    int c = thread();
    if (c >= C) return;
    r[c] = 1 / sqrt(variance[c] + eps);
    scale[c] = gamma[c] * r[c];
    shift[c] = beta[c] - scale[c] * mean[c];
}

// Moves the running statistics by `momentum` towards a batch's mean and unbiased variance. The batch has rows[0] rows,
// or `count` where rows is null; of a single one there is no unbiased variance.
extern "C" __global__ void follow(ACC* running_mean, ACC* running_var, const ACC* mean, const ACC* variance, ACC momentum,
                                  const ACC* rows, ACC count, int C) {
    int c = thread();
    if (c >= C) return;
    ACC M = rows ? rows[0] : count;
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    if (M > 1) running_var[c] += momentum * (variance[c] * (M / (M - 1)) - running_var[c]);
}

// The rows of C with which dx = a g + b x + c = γ r (g - dβ/M - x̂ dγ/M), for M as in `follow`.
extern "C" __global__ void normaliser_backward(const ACC* d_beta, const ACC* d_gamma, const ACC* gamma, const ACC* mean,
                                               const ACC* r, ACC* a, ACC* b, ACC* c, const ACC* rows, ACC count, int C) {
    int i = thread();
    if (i >= C) return;
    ACC M = rows ? rows[0] : count;
    a[i] = gamma[i] * r[i];
    b[i] = -a[i] * r[i] * d_gamma[i] / M;
    c[i] = -a[i] * d_beta[i] / M - b[i] * mean[i];
}

// Reads g and x M×C once; writes a g + b x + c, with a row for the columns each.
extern "C" __global__ void combine(const T* g, const T* x, const ACC* a, const ACC* b, const ACC* c, T* out,
                                   unsigned packs, int C) {
    unsigned i = thread();
    if (i >= packs) return;
    int column = i % (C / V) * V;
    Pack gradient = pack(g, i), value = pack(x, i);
    for (int k = 0; k < V; k++)
        value.v[k] = T(a[column + k] * ACC(gradient.v[k]) + b[column + k] * ACC(value.v[k]) + c[column + k]);
    pack(out, i) = value;
}

// Reads dy and y once; writes dy where y > 0, else 0.
extern "C" __global__ void relu_backward(const T* dy, const T* y, T* dx, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    Pack gradient = pack(dy, i), output = pack(y, i);
    for (int k = 0; k < V; k++)
        if (!(ACC(output.v[k]) > 0)) gradient.v[k] = T(0);
    pack(dx, i) = gradient;
}

// A step of SGD. Reads and writes w and v, reads g: v ← momentum v + share g + decay w, w ← w - lr v. A null share is 1.
extern "C" __global__ void momentum_step(ACC* w, ACC* v, const ACC* g, const ACC* share, ACC lr, ACC momentum, ACC decay,
                                         unsigned size) {
    unsigned i = thread();
    if (i >= size) return;
    ACC velocity = momentum * v[i] + (share ? share[0] * g[i] : g[i]) + decay * w[i];
    v[i] = velocity;
    w[i] -= lr * velocity;
}


// --- pixels ---------------------------------------------------------------------------------------------------------

// Reads bytes ...×3 and a table 256×3: what each value becomes in each channel; writes y ...×3. With `reverse`, channels
// are read from the last to the first.
extern "C" __global__ void pixels(const unsigned char* x, const ACC* table, T* y, int reverse, unsigned size) {
    unsigned i = thread();
    if (i >= size) return;
    int channel = i % 3;
    y[i] = T(table[3 * x[reverse ? i - channel + 2 - channel : i] + channel]);
}


// --- windows --------------------------------------------------------------------------------------------------------
//
// A thread makes one pack of the result. Maps are N×H×W×C; of `lines` output lines the first is number `line`.

// Reads x N×H×W×C; writes an excerpt N×h×w×C that begins `top` lines and `left` columns into the map, zero beyond it.
// `pixels` of it are written: those after N·h·w are zero too.
extern "C" __global__ void excerpt(const T* x, T* out, int N, int H, int W, int C, int h, int w, int top, int left,
                                   unsigned pixels) {
    unsigned i = thread(), pixel = i / (C / V);
    if (pixel >= pixels) return;
    int column = pixel % w + left, row = pixel / w % h + top;
    long long image = pixel / w / h;
    Pack value;
    for (int k = 0; k < V; k++) value.v[k] = T(0);
    if (image < N && row >= 0 && row < H && column >= 0 && column < W)
        value = pack(x, ((image * H + row) * W + column) * (C / V) + i % (C / V));
    pack(out, i) = value;
}

// Reads x N×H×W×C; writes the windows of N×lines×w output pixels as rows, N·lines·w×kh·kw·C, `pitch` elements apart.
extern "C" __global__ void gather_windows(const T* x, T* windows, int pitch, int H, int W, int C, int line, int lines,
                                          int w, int kh, int kw, int sh, int sw, int dh, int dw, int ph, int pw,
                                          unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned rest = i / (C / V);
    int tap = rest % (kh * kw);
    rest /= kh * kw;
    long long place = (long long)rest * (pitch / V) + tap * (C / V) + c;
    int row = sh * (line + (int)(rest / w % lines)) + dh * (tap / kw) - ph;
    int column = sw * (int)(rest % w) + dw * (tap % kw) - pw;
    long long image = rest / w / lines;
    Pack value;
    for (int k = 0; k < V; k++) value.v[k] = T(0);
    if (row >= 0 && row < H && column >= 0 && column < W)
        value = pack(x, ((image * H + row) * W + column) * (C / V) + c);
    pack(windows, place) = value;
}

// The transpose of gather_windows. Reads windows N·lines·w×kh·kw·C; writes, for `height` lines of the map from number
// `first` on, N×height×W×C, the sum of every pixel's copies.
extern "C" __global__ void add_windows(const T* windows, T* dx, int first, int height, int W, int C, int line, int lines,
                                       int w, int kh, int kw, int sh, int sw, int dh, int dw, int ph, int pw,
                                       unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    int column = pixel % W + pw, row = first + (int)(pixel / W % height) + ph;
    long long image = pixel / W / height;
    ACC sum[V] = {};
    for (int tap = 0; tap < kh * kw; tap++) {
        int y = row - dh * (tap / kw), x = column - dw * (tap % kw);
        if (y < sh * line || y % sh || y / sh >= line + lines || x < 0 || x % sw || x / sw >= w) continue;
        Pack value = pack(windows, (((image * lines + y / sh - line) * w + x / sw) * (kh * kw) + tap) * (C / V) + c);
        for (int k = 0; k < V; k++) sum[k] += ACC(value.v[k]);
    }
    Pack out;
    for (int k = 0; k < V; k++) out.v[k] = T(sum[k]);
    pack(dx, i) = out;
}

// Reads x N×H×W×C; writes the largest value of each window, N×h×w×C. Pixels beyond the map never win.
extern "C" __global__ void max_pool(const T* x, T* y, int H, int W, int C, int h, int w, int kh, int kw, int sh, int sw,
                                    int ph, int pw, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    long long image = pixel / w / h;
    int top = sh * (int)(pixel / w % h) - ph, left = sw * (int)(pixel % w) - pw;
    Pack best = {};
    bool found = false;
    for (int row = max(0, top); row < min(H, top + kh); row++)
        for (int column = max(0, left); column < min(W, left + kw); column++) {
            Pack value = pack(x, ((image * H + row) * W + column) * (C / V) + c);
            for (int k = 0; k < V; k++)
                if (!found || ACC(value.v[k]) > ACC(best.v[k])) best.v[k] = value.v[k];
            found = true;
        }
    pack(y, i) = best;
}

// Reads dy and y N×h×w×C and x N×H×W×C; writes dx N×H×W×C. Each pixel takes dy of the windows that it won: it is the
// first, row by row, whose value is the window's largest.
extern "C" __global__ void max_pool_backward(const T* dy, const T* x, const T* y, T* dx, int H, int W, int C, int h,
                                             int w, int kh, int kw, int sh, int sw, int ph, int pw, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    long long image = pixel / W / H;
    int row = pixel / W % H, column = pixel % W;
    Pack own = pack(x, i);
    ACC sum[V] = {};
    for (int a = max(0, (row + ph - kh + sh) / sh); a < h && a * sh - ph <= row; a++)
        for (int b = max(0, (column + pw - kw + sw) / sw); b < w && b * sw - pw <= column; b++) {
            long long window = ((image * h + a) * w + b) * (C / V) + c;
            Pack best = pack(y, window), gradient = pack(dy, window);
            for (int k = 0; k < V; k++) {
                bool wins = ACC(own.v[k]) == ACC(best.v[k]);
                for (int r = max(0, a * sh - ph); wins && r <= row; r++)  // unless an earlier pixel is as large
                    for (int q = max(0, b * sw - pw); wins && q < min(W, b * sw - pw + kw) && (r < row || q < column); q++)
                        wins = ACC(pack(x, ((image * H + r) * W + q) * (C / V) + c).v[k]) != ACC(best.v[k]);
                if (wins) sum[k] += ACC(gradient.v[k]);
            }
        }
    Pack out;
    for (int k = 0; k < V; k++) out.v[k] = T(sum[k]);
    pack(dx, i) = out;
}

// Reads x N×H×W×C; writes the sum over each window, N×h×w×C.
extern "C" __global__ void sum_pool(const T* x, T* y, int H, int W, int C, int h, int w, int kh, int kw, int sh, int sw,
                                    int ph, int pw, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    long long image = pixel / w / h;
    int top = sh * (int)(pixel / w % h) - ph, left = sw * (int)(pixel % w) - pw;
    ACC sum[V] = {};
    for (int row = max(0, top); row < min(H, top + kh); row++)
        for (int column = max(0, left); column < min(W, left + kw); column++) {
            Pack value = pack(x, ((image * H + row) * W + column) * (C / V) + c);
            for (int k = 0; k < V; k++) sum[k] += ACC(value.v[k]);
        }
    Pack out;
    for (int k = 0; k < V; k++) out.v[k] = T(sum[k]);
    pack(y, i) = out;
}

// The transpose of sum_pool. Reads dy N×h×w×C; writes dx N×H×W×C, the sum of dy over the windows that see a pixel.
extern "C" __global__ void sum_pool_backward(const T* dy, T* dx, int H, int W, int C, int h, int w, int kh, int kw,
                                             int sh, int sw, int ph, int pw, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    long long image = pixel / W / H;
    int row = pixel / W % H, column = pixel % W;
    ACC sum[V] = {};
    for (int a = max(0, (row + ph - kh + sh) / sh); a < h && a * sh - ph <= row; a++)
        for (int b = max(0, (column + pw - kw + sw) / sw); b < w && b * sw - pw <= column; b++) {
            Pack value = pack(dy, ((image * h + a) * w + b) * (C / V) + c);
            for (int k = 0; k < V; k++) sum[k] += ACC(value.v[k]);
        }
    Pack out;
    for (int k = 0; k < V; k++) out.v[k] = T(sum[k]);
    pack(dx, i) = out;
}


// --- resizing -------------------------------------------------------------------------------------------------------

// Y = R X Sᵀ for every image and channel, where each row of R and S is zero but for a few neighbours: row i of R has
// `count` weights, from column `start[i]` on. Reads x N×H×W×C; writes y N×h×w×C. R is h×H, its weights h×most_r.
extern "C" __global__ void resample(const T* x, T* y, const int* start_r, const ACC* weight_r, int most_r,
                                    const int* start_s, const ACC* weight_s, int most_s, int H, int W, int C, int h,
                                    int w, unsigned packs) {
    unsigned i = thread();
    if (i >= packs) return;
    int c = i % (C / V);
    unsigned pixel = i / (C / V);
    long long image = pixel / w / h;
    int row = pixel / w % h, column = pixel % w;
    ACC sum[V] = {};
    for (int a = 0; a < most_r; a++) {
        ACC r = weight_r[row * most_r + a];
        for (int b = 0; r != 0 && b < most_s; b++) {
            ACC s = weight_s[column * most_s + b];
            if (s == 0) continue;
            Pack value = pack(x, ((image * H + start_r[row] + a) * W + start_s[column] + b) * (C / V) + c);
            for (int k = 0; k < V; k++) sum[k] += r * s * ACC(value.v[k]);
        }
    }
    Pack out;
    for (int k = 0; k < V; k++) out.v[k] = T(sum[k]);
    pack(y, i) = out;
}


// --- the loss of enlarged logits ------------------------------------------------------------------------------------
//
// Logits z N×h×w×K enlarged to N×H×W pixels, Z = R z Sᵀ, are never written down: each thread resamples what it needs.
// Rows of R and S have two weights: line i lies between lines start_r[i] and the next, weights weight_r[2 i] and the next.

// A thread makes one pixel. Reads z and target N×H×W (-1: the pixel does not count); writes share · (log Σ exp Z - Z of
// the target) and log Σ exp Z, N×H×W.
extern "C" __global__ void pixel_losses(const ACC* z, const int* target, ACC* losses, ACC* log_sums, const int* start_r,
                                        const ACC* weight_r, const int* start_s, const ACC* weight_s, ACC share, int h,
                                        int w, int K, int H, int W, unsigned pixels) {
    unsigned pixel = thread();
    if (pixel >= pixels) return;
    int i = pixel / W % H, j = pixel % W, label = target[pixel];
    int down = start_r[i] + 1 < h ? w * K : 0, right = start_s[j] + 1 < w ? K : 0;  // the next weight there is 0
    const ACC* corner = z + ((long long)(pixel / W / H) * h + start_r[i]) * w * K + start_s[j] * K;
    ACC r0 = weight_r[2 * i], r1 = weight_r[2 * i + 1], s0 = weight_s[2 * j], s1 = weight_s[2 * j + 1];
    ACC largest = 0, sum = 0, of_target = 0;
    for (int k = 0; k < K; k++, corner++) {  // the sum of exp(Z - largest) so far
        ACC Z = r0 * (s0 * corner[0] + s1 * corner[right]) + r1 * (s0 * corner[down] + s1 * corner[down + right]);
        if (k == 0 || Z > largest) {
            sum = k == 0 ? ACC(0) : sum * exp(largest - Z);
            largest = Z;
        }
        sum += exp(Z - largest);
        if (k == label) of_target = Z;
    }
    log_sums[pixel] = log(sum) + largest;
    losses[pixel] = label < 0 ? ACC(0) : share * (log(sum) + (largest - of_target));
}

// A thread makes one coarse pixel's class. Reads what pixel_losses did, and its log_sums; writes dz = Rᵀ dZ S, where
// dZ = share · (exp(Z - log Σ exp Z) - 1 for the target), N×h×w×K. The rows of Rᵀ and Sᵀ say which pixels see it: those
// that lie beside it, so that their Z are made of it and its eight neighbours.
extern "C" __global__ void pixel_gradients(const ACC* z, const int* target, const ACC* log_sums, ACC* dz,
                                           const int* start_r, const ACC* weight_r, const int* start_s,
                                           const ACC* weight_s, const int* first_i, const ACC* weight_i, int most_i,
                                           const int* first_j, const ACC* weight_j, int most_j, ACC share, int h, int w,
                                           int K, int H, int W, unsigned size) {
    unsigned place = thread();
    if (place >= size) return;
    int k = place % K, x = place / K % w, y = place / K / w % h;
    long long image = place / K / w / h;
    ACC near[3][3];  // edges repeated: the weights there are 0
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            int row = min(max(y + a - 1, 0), h - 1), column = min(max(x + b - 1, 0), w - 1);
            near[a][b] = z[((image * h + row) * w + column) * K + k];
        }
    ACC sum = 0;
    for (int a = 0; a < most_i; a++) {
        int i = first_i[y] + a;
        ACC of_line = weight_i[y * most_i + a], line[3];
        if (of_line == 0) continue;
        bool above = start_r[i] < y;  // the line lies between y - 1 and y, else between y and y + 1
        for (int b = 0; b < 3; b++)
            line[b] = weight_r[2 * i] * (above ? near[0][b] : near[1][b]) +
                      weight_r[2 * i + 1] * (above ? near[1][b] : near[2][b]);
        for (int b = 0; b < most_j; b++) {
            int j = first_j[x] + b;
            ACC weight = of_line * weight_j[x * most_j + b];
            long long pixel = (image * H + i) * W + j;
            if (weight == 0 || target[pixel] < 0) continue;
            bool left = start_s[j] < x;
            ACC Z = weight_s[2 * j] * (left ? line[0] : line[1]) + weight_s[2 * j + 1] * (left ? line[1] : line[2]);
            sum += weight * share * (exp(Z - log_sums[pixel]) - (k == target[pixel]));
        }
    }
    dz[place] = sum;
}
