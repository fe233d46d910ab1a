/* Stands in for NVIDIA's libnvidia-ml.so.1: the part of NVML's interface that medtui asks, as nvml.h declares it.

   The file that $NVML_STAND_IN names is read at every call. `devices N`: how many there are, two without it.
   `FUNCTION DEVICE CODE`: what a function returns of a device, or of none (-1), instead of NVML_SUCCESS. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, INSUFFICIENT_SIZE = 7 };

typedef struct { long number; } *Device;
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} Process;

static int started = 0;

static int code_of(const char *function, long device) {
    char word[64];
    int other, code, found = SUCCESS;
    FILE *file = fopen(getenv("NVML_STAND_IN"), "r");
    if (file == NULL) return SUCCESS;
    while (fscanf(file, "%63s %d", word, &other) == 2) {
        if (strcmp(word, "devices") == 0) continue;
        if (fscanf(file, "%d", &code) == 1 && strcmp(word, function) == 0 && other == device) found = code;
    }
    fclose(file);
    return found;
}

static unsigned int devices(void) {
    char word[64];
    int number, code;
    unsigned int found = 2;
    FILE *file = fopen(getenv("NVML_STAND_IN"), "r");
    if (file == NULL) return found;
    while (fscanf(file, "%63s %d", word, &number) == 2) {
        if (strcmp(word, "devices") == 0) found = number;
        else if (fscanf(file, "%d", &code) != 1) break;
    }
    fclose(file);
    return found;
}

static int answer(const char *function, Device device) {
    if (!started) return UNINITIALIZED;
    return code_of(function, device == NULL ? -1 : (long)device - 1);
}

#define ANSWER(device) { int code = answer(__func__, device); if (code != SUCCESS) return code; }
#define NUMBER(device) ((long)(device) - 1)

int nvmlInitWithFlags(unsigned int flags) {
    int code = code_of(__func__, -1);
    if (code == SUCCESS) started++;
    return code;
}

int nvmlShutdown(void) {
    if (!started) return UNINITIALIZED;
    started--;
    return SUCCESS;
}

const char *nvmlErrorString(int code) { return code == SUCCESS ? "Success" : "Unknown Error"; }

int nvmlDeviceGetCount_v2(unsigned int *count) {
    ANSWER(NULL);
    *count = devices();
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device *device) {
    if (index >= devices()) return INVALID_ARGUMENT;
    *device = (Device)(long)(index + 1);
    ANSWER(*device);
    return SUCCESS;
}

int nvmlDeviceGetName(Device device, char *name, unsigned int length) {
    ANSWER(device);
    snprintf(name, length, "Stand-in %c", (char)('A' + NUMBER(device)));
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device device, Utilization *rates) {
    ANSWER(device);
    rates->gpu = 30 + NUMBER(device);
    rates->memory = 10;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    ANSWER(device);
    memory->total = 80000000000ULL;
    memory->used = 6100000000ULL;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(Device device, int sensor, unsigned int *degrees) {
    if (sensor != 0) return INVALID_ARGUMENT;
    ANSWER(device);
    *degrees = 60 + NUMBER(device);
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(Device device, unsigned int *milliwatts) {
    ANSWER(device);
    *milliwatts = 250500;
    return SUCCESS;
}

/* Two on the first device, the memory of the second of them not available; none on the others. */
int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned int *count, Process *processes) {
    unsigned int room = *count, found = NUMBER(device) == 0 ? 2 : 0;
    ANSWER(device);
    *count = found;
    if (found == 0) return SUCCESS;
    if (room < found || processes == NULL) return INSUFFICIENT_SIZE;
    processes[0] = (Process){4711, 5100000000ULL, -1, -1};
    processes[1] = (Process){4712, ~0ULL, -1, -1};
    return SUCCESS;
}
