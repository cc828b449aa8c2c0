/* A stand-in for libnvidia-ml.so.1: the calls that the collector makes, answered from a file that
 * the test maps too. Signatures and constants are those of NVIDIA's nvml.h. */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GPUS 8
enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, UNKNOWN = 999, GPU_LOST = 15 };

typedef struct {
    uint32_t gpus, has_energy, has_instant, driver_fails;
    uint32_t lost[GPUS], flaky[GPUS], sm_mhz[GPUS], percent[GPUS], celsius[GPUS];
    double watts[GPUS], limit_w[GPUS], energy_j[GPUS], since_s[GPUS];
    double rate; /* at which the test's time passes */
} State;

typedef struct { uint32_t gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    uint32_t field, scope;
    long long timestamp, latency_us;
    uint32_t type, result;
    union { double d; uint32_t ui; unsigned long long ull; } value;
} FieldValue;

static State *state;
static char handles[GPUS];

static int which(void *gpu) { return (int)((char *)gpu - handles); }

static int gone(void *gpu) {
    int i = which(gpu);
    if (!state || i < 0 || i >= GPUS) return INVALID;
    return state->lost[i] ? GPU_LOST : OK;
}

int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("DCSIM_STANDIN_NVML");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return 9; /* NVML_ERROR_DRIVER_NOT_LOADED */
    void *found = mmap(0, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (found == MAP_FAILED) return UNKNOWN;
    state = found;
    return state->driver_fails ? 9 : OK;
}

int nvmlShutdown(void) {
    if (state) munmap(state, sizeof(State));
    state = 0;
    return OK;
}

const char *nvmlErrorString(int code) {
    if (code == GPU_LOST) return "GPU is lost";
    return code == 9 ? "Driver Not Loaded" : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    strncpy(text, "570.0-standin", size);
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = state->gpus; return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) {
    if (index >= state->gpus) return INVALID;
    *gpu = &handles[index];
    return OK;
}

int nvmlDeviceGetName(void *gpu, char *text, unsigned size) {
    strncpy(text, "NVIDIA A100-SXM4-80GB", size);
    return gone(gpu);
}

int nvmlDeviceGetUUID(void *gpu, char *text, unsigned size) {
    strncpy(text, "GPU-0000", size);
    text[7] = (char)('0' + which(gpu));
    return gone(gpu);
}

int nvmlDeviceGetMemoryInfo(void *gpu, Memory *memory) {
    memory->total = 85899345920ull;
    memory->free = memory->used = memory->total / 2;
    return gone(gpu);
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts) {
    int code = gone(gpu);
    if (code == OK && state->flaky[which(gpu)]) {
        state->flaky[which(gpu)]--;
        return UNKNOWN;
    }
    if (code == OK) *milliwatts = (unsigned)(1000.0 * state->watts[which(gpu)]);
    return code;
}

int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *millijoules) {
    struct timespec now;
    int i = which(gpu);
    if (!state->has_energy) return UNSUPPORTED;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double passed_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - state->since_s[i];
    *millijoules =
        (unsigned long long)(1e3 * (state->energy_j[i] + state->watts[i] * passed_s * state->rate));
    return gone(gpu);
}

int nvmlDeviceGetFieldValues(void *gpu, int count, FieldValue *values) {
    for (int i = 0; i < count; i++) {
        values[i].result = state->has_instant && values[i].field == 186 ? OK : UNSUPPORTED;
        values[i].value.ui = (uint32_t)(1000.0 * state->watts[which(gpu)]);
    }
    return gone(gpu);
}

int nvmlDeviceGetClockInfo(void *gpu, int kind, unsigned *mhz) {
    *mhz = kind == 1 ? state->sm_mhz[which(gpu)] : 1593;
    return gone(gpu);
}

int nvmlDeviceGetUtilizationRates(void *gpu, Utilization *rates) {
    rates->gpu = state->percent[which(gpu)];
    rates->memory = rates->gpu / 2;
    return gone(gpu);
}

int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius) {
    *celsius = state->celsius[which(gpu)];
    return gone(gpu);
}

int nvmlDeviceGetEnforcedPowerLimit(void *gpu, unsigned *milliwatts) {
    *milliwatts = (unsigned)(1000.0 * state->limit_w[which(gpu)]);
    return gone(gpu);
}

int nvmlDeviceGetPowerManagementDefaultLimit(void *gpu, unsigned *milliwatts) {
    *milliwatts = 400000;
    return gone(gpu);
}
