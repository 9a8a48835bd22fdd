// A CUDA driver without a device, for machines that have no GPU.
//
// It claims to be an H100. Kernels are compiled (NVRTC needs no GPU) and launched, but none runs: memory is handed out and counted, and
// what a program reads back is made up. So it shows what happens on the host's side of a GPU, and nothing about numbers or speed:
// which kernels do not compile, what is never found at run time, how many kernels a step launches, how much memory is asked for.
//
// What is read back: 2.0 the first time, which is what the program's own probe of a device expects, and ln 2 ever after, the loss of
// DPO before its first step. Time passes with launches alone, 3 microseconds and 20 nanoseconds for every 1,000 threads, so that the
// search for the fastest kernel ends; which one it chooses means nothing.
//
// DRIVER_COUNTS names a file for what was counted; DRIVER_GIB is the memory that there is (80).

#include <cuda.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
// The header gives some names to newer versions; a program may ask for either.
#undef cuDeviceGetUuid
#undef cuEventElapsedTime

#define OK CUDA_SUCCESS
#define PAGE ((size_t)2 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t total = (size_t)80 << 30, used, peak;
static unsigned long allocations, launches, reads, writes, modules;
static double clock_ms;

struct kernel { char name[200]; unsigned long launches; double threads; struct kernel *next; };
static struct kernel *kernels;
struct block { CUdeviceptr at; size_t size; struct block *next; };
static struct block *blocks;

static void count(void) {
    const char *path = getenv("DRIVER_COUNTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    pthread_mutex_lock(&lock);
    fprintf(file, "peak_mib %zu\nallocations %lu\nmodules %lu\nlaunches %lu\nreads %lu\nwrites %lu\n", peak >> 20, allocations, modules, launches, reads, writes);
    for (struct kernel *k = kernels; k; k = k->next)
        if (k->launches) fprintf(file, "kernel %lu %.0f %s\n", k->launches, k->threads, k->name);
    pthread_mutex_unlock(&lock);
    fclose(file);
}

// A process may end without its libraries being closed.
static void *keep_counting(void *unused) {
    for (;;) { sleep(1); count(); }
    return unused;
}

__attribute__((constructor)) static void open_driver(void) {
    if (getenv("DRIVER_GIB")) total = (size_t)(atof(getenv("DRIVER_GIB")) * 1073741824.0);
    pthread_t thread;
    if (getenv("DRIVER_COUNTS")) pthread_create(&thread, NULL, keep_counting, NULL);
}
__attribute__((destructor)) static void close_driver(void) { count(); }

// The device.
CUresult cuInit(unsigned flags) { return OK; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return OK; }
CUresult cuDeviceGetCount(int *devices) { *devices = 1; return OK; }
CUresult cuDeviceGet(CUdevice *device, int index) { *device = index; return index ? CUDA_ERROR_INVALID_DEVICE : OK; }
CUresult cuDeviceGetName(char *name, int size, CUdevice device) { snprintf(name, size, "no device (as an H100)"); return OK; }
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) { memset(uuid, 1, sizeof *uuid); return OK; }
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) { return cuDeviceGetUuid(uuid, device); }
CUresult cuDeviceGetPCIBusId(char *id, int size, CUdevice device) { snprintf(id, size, "0000:01:00.0"); return OK; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) { *bytes = total; return OK; }
CUresult cuMemGetInfo_v2(size_t *free, size_t *all) { *free = total - used; *all = total; return OK; }
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = 49152; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 232448; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *value = 233472; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *value = 2048; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X: case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = 2147483647; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 50 << 20; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = 1; break;
    default: *value = 0;
    }
    return OK;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { *context = (CUcontext)1; return OK; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { return OK; }
CUresult cuCtxSetCurrent(CUcontext context) { return OK; }
CUresult cuCtxGetCurrent(CUcontext *context) { *context = (CUcontext)1; return OK; }
CUresult cuCtxSynchronize(void) { return OK; }
CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = *greatest = 0; return OK; }
CUresult cuGetErrorName(CUresult error, const char **name) { *name = "CUDA_ERROR"; return OK; }
CUresult cuGetErrorString(CUresult error, const char **text) { *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "an error"; return OK; }

// Memory: addresses that nothing lies behind until something is written there.
CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t size) {
    size_t room = (size + PAGE - 1) / PAGE * PAGE;
    pthread_mutex_lock(&lock);
    void *memory = used + size > total ? MAP_FAILED
        : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
        struct block *block = malloc(sizeof *block);
        *block = (struct block){(CUdeviceptr)memory, size, blocks};
        blocks = block;
        *at = block->at;
        used += size;
        allocations++;
        if (used > peak) peak = used;
    }
    pthread_mutex_unlock(&lock);
    return memory == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : OK;
}
CUresult cuMemFree_v2(CUdeviceptr at) {
    pthread_mutex_lock(&lock);
    for (struct block **link = &blocks; *link; link = &(*link)->next) {
        struct block *block = *link;
        if (block->at != at) continue;
        munmap((void *)at, (block->size + PAGE - 1) / PAGE * PAGE);
        used -= block->size;
        *link = block->next;
        free(block);
        break;
    }
    pthread_mutex_unlock(&lock);
    return OK;
}
CUresult cuMemAllocAsync(CUdeviceptr *at, size_t size, CUstream stream) { return cuMemAlloc_v2(at, size); }
CUresult cuMemFreeAsync(CUdeviceptr at, CUstream stream) { return cuMemFree_v2(at); }
CUresult cuMemAllocHost_v2(void **at, size_t size) { *at = malloc(size); return *at ? OK : CUDA_ERROR_OUT_OF_MEMORY; }
CUresult cuMemFreeHost(void *at) { free(at); return OK; }

static void make_up(float *values, size_t bytes) {
    float value = __sync_fetch_and_add(&reads, 1) ? (float)log(2.0) : 2.0f;
    for (size_t index = 0; index < bytes / sizeof value; index++) values[index] = value;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) { __sync_fetch_and_add(&writes, 1); return OK; }
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) { make_up(to, bytes); return OK; }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) { return OK; }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream) {
    if (copy->dstMemoryType != CU_MEMORYTYPE_HOST) return cuMemcpyHtoDAsync_v2(0, NULL, 0, stream);
    for (size_t row = 0; row < copy->Height; row++) make_up((float *)((char *)copy->dstHost + row * copy->dstPitch), copy->WidthInBytes);
    return OK;
}
CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t bytes, CUstream stream) { return OK; }

// Streams and events.
CUresult cuStreamCreate(CUstream *stream, unsigned flags) { static uintptr_t last; *stream = (CUstream)++last; return OK; }
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) { return cuStreamCreate(stream, flags); }
CUresult cuStreamDestroy_v2(CUstream stream) { return OK; }
CUresult cuStreamSynchronize(CUstream stream) { return OK; }
CUresult cuStreamQuery(CUstream stream) { return OK; }
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) { return OK; }
CUresult cuEventCreate(CUevent *event, unsigned flags) { *event = calloc(1, sizeof(double)); return OK; }
CUresult cuEventRecord(CUevent event, CUstream stream) { *(double *)event = clock_ms; return OK; }
CUresult cuEventQuery(CUevent event) { return OK; }
CUresult cuEventSynchronize(CUevent event) { return OK; }
CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to) { *ms = (float)(*(double *)to - *(double *)from); return OK; }
CUresult cuEventElapsedTime_v2(float *ms, CUevent from, CUevent to) { return cuEventElapsedTime(ms, from, to); }
CUresult cuEventDestroy_v2(CUevent event) { free(event); return OK; }

// Kernels.
CUresult cuModuleLoadData(CUmodule *module, const void *image) { *module = (CUmodule)__sync_add_and_fetch(&modules, 1); return OK; }
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values) { return cuModuleLoadData(module, image); }
CUresult cuModuleUnload(CUmodule module) { return OK; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    struct kernel *kernel = calloc(1, sizeof *kernel);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    pthread_mutex_lock(&lock);
    kernel->next = kernels;
    kernels = kernel;
    pthread_mutex_unlock(&lock);
    *function = (CUfunction)kernel;
    return OK;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) { return OK; }
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) { *value = 0; return OK; }
CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream stream, void **arguments, void **extra) {
    struct kernel *kernel = (struct kernel *)function;
    double threads = (double)gx * gy * gz * bx * by * bz;
    pthread_mutex_lock(&lock);
    launches++;
    kernel->launches++;
    kernel->threads += threads;
    clock_ms += 3e-3 + threads * 2e-8;
    pthread_mutex_unlock(&lock);
    return OK;
}
CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *at, const cuuint64_t *sizes, const cuuint64_t *strides, const cuuint32_t *box, const cuuint32_t *steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) { return OK; }

// "Assembling" hands the PTX back.
struct link { size_t size; char text[]; };
CUresult cuLinkCreate_v2(unsigned count, CUjit_option *options, void **values, CUlinkState *state) { *state = calloc(1, sizeof(struct link *)); return OK; }
CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name, unsigned count, CUjit_option *options, void **values) {
    struct link *link = malloc(sizeof *link + size);
    link->size = size;
    memcpy(link->text, data, size);
    *(struct link **)state = link;
    return OK;
}
CUresult cuLinkComplete(CUlinkState state, void **data, size_t *size) { struct link *link = *(struct link **)state; *data = link->text; *size = link->size; return OK; }
CUresult cuLinkDestroy(CUlinkState state) { free(*(struct link **)state); free(state); return OK; }
