// The CUDA runtime API in host memory: devices, memory, copies, streams, events, graphs.
//
// Everything is synchronous. A stream is a number, an event is a moment, and a copy is memmove; what is kept
// strictly is which memory belongs to a device, because mixing the two is the mistake that a CPU never shows.

#include "device.h"
#include "graph.h"
#include "trace.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace cuda_on_cpu {
namespace {

constexpr int max_devices = 16;
constexpr std::size_t default_memory_limit = std::size_t{2} << 30;

struct Allocation {
  std::size_t bytes;
  int device;
};

struct Device {
  std::size_t live_bytes = 0;
  std::size_t peak_bytes = 0;
  std::size_t memory_limit = default_memory_limit;
};

std::atomic<std::int64_t> counters[static_cast<int>(Counter::number_of_counters)];
std::atomic<int> device_count{1};
thread_local int chosen_device = 0;

std::atomic<bool> peers_are_possible{false};
std::atomic<bool> has_access[max_devices][max_devices];  // [the device that reads][whose memory]

std::mutex memory_lock;  // guards the two below
std::map<const char*, Allocation> allocations;
Device devices[max_devices];

// The allocation that contains an address, or null. The caller holds memory_lock.
const std::pair<const char* const, Allocation>* find_allocation(const void* address) {
  auto after = allocations.upper_bound(static_cast<const char*>(address));
  if (after == allocations.begin()) return nullptr;
  auto& candidate = *std::prev(after);
  bool inside = static_cast<const char*>(address) < candidate.first + candidate.second.bytes;
  return inside ? &candidate : nullptr;
}

}  // namespace

void count(Counter counter, std::int64_t by) { counters[static_cast<int>(counter)] += by; }

std::mutex& execution_lock() {
  static std::mutex lock;
  return lock;
}

int current_device() { return chosen_device; }
OnDevice::OnDevice(int device) : before_(chosen_device) { chosen_device = device; }
OnDevice::~OnDevice() { chosen_device = before_; }

namespace {

constexpr int no_device = -1;

// The device that [address, address + bytes) belongs to, as a part of one allocation.
int owner_of(const void* address, std::size_t bytes) {
  std::lock_guard<std::mutex> hold(memory_lock);
  auto* allocation = find_allocation(address);
  bool inside = allocation && static_cast<const char*>(address) + bytes <= allocation->first + allocation->second.bytes;
  return inside ? allocation->second.device : no_device;
}

}  // namespace

bool is_device_memory(const void* address, std::size_t bytes) { return owner_of(address, bytes) != no_device; }
bool is_reachable(const void* address, std::size_t bytes) {
  int owner = owner_of(address, bytes);
  return owner == chosen_device || (owner != no_device && has_access[chosen_device][owner]);
}

namespace {

bool is_device_number(int device) { return 0 <= device && device < device_count; }

cudaError_t allocate(void** pointer, std::size_t bytes) {
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  std::lock_guard<std::mutex> hold(memory_lock);
  Device& device = devices[chosen_device];
  if (device.live_bytes + bytes > device.memory_limit) return cudaErrorMemoryAllocation;
  constexpr std::size_t alignment = 512;  // as cudaMalloc's; CuPy's memory pool relies on it
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!memory) return cudaErrorMemoryAllocation;
  std::memset(memory, fresh_poison, bytes);
  allocations[static_cast<const char*>(memory)] = {bytes, chosen_device};
  device.live_bytes += bytes;
  if (device.live_bytes > device.peak_bytes) device.peak_bytes = device.live_bytes;
  count(Counter::mallocs);
  *pointer = memory;
  return cudaSuccess;
}

cudaError_t release(void* pointer) {
  if (!pointer) return cudaSuccess;
  std::lock_guard<std::mutex> execute(execution_lock());
  std::lock_guard<std::mutex> hold(memory_lock);
  auto found = allocations.find(static_cast<const char*>(pointer));
  if (found == allocations.end()) return cudaErrorInvalidValue;
  std::memset(pointer, freed_poison, found->second.bytes);
  devices[found->second.device].live_bytes -= found->second.bytes;
  allocations.erase(found);
  count(Counter::frees);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t refuse(const char* what, const void* pointer, std::size_t bytes) {
  std::fprintf(stderr, "cuda_on_cpu: %s %p + %zu bytes is not device memory\n", what, pointer, bytes);
  return cudaErrorInvalidValue;
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  bool to_device = is_device_memory(to, bytes), from_device = is_device_memory(from, bytes);
  if (kind == cudaMemcpyDefault) {
    kind = to_device ? (from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice)
                     : (from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
  }
  bool wants_device_target = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool wants_device_source = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (wants_device_target && !to_device) return refuse("copy target", to, bytes);
  if (wants_device_source && !from_device) return refuse("copy source", from, bytes);
  if (Graph* graph = graph_captured_by(stream)) {
    if (kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
    graph->record([=] {
      std::memmove(to, from, bytes);
      return 0;
    });
    return cudaSuccess;
  }
  if (kind == cudaMemcpyDeviceToHost) count(Counter::device_to_host);
  if (kind == cudaMemcpyHostToDevice) count(Counter::host_to_device);
  if (kind == cudaMemcpyDeviceToDevice) count(Counter::device_to_device);
  std::lock_guard<std::mutex> execute(execution_lock());
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

// From device to device by their numbers: each address has to belong to the device that is said.
cudaError_t copy_to_peer(void* to, int to_device, const void* from, int from_device, std::size_t bytes,
                         cudaStream_t stream) {
  if (bytes && owner_of(to, bytes) != to_device) return refuse("copy target", to, bytes);
  if (bytes && owner_of(from, bytes) != from_device) return refuse("copy source", from, bytes);
  return copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                      std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  for (std::size_t row = 0; row < height; ++row) {
    cudaError_t status = copy(static_cast<char*>(to) + row * to_pitch,
                              static_cast<const char*>(from) + row * from_pitch, width, kind, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

cudaError_t fill(void* target, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!is_device_memory(target, bytes)) return refuse("memset target", target, bytes);
  if (Graph* graph = graph_captured_by(stream)) {
    graph->record([=] {
      std::memset(target, value, bytes);
      return 0;
    });
    return cudaSuccess;
  }
  count(Counter::memsets);
  std::lock_guard<std::mutex> execute(execution_lock());
  std::memset(target, value, bytes);
  return cudaSuccess;
}

cudaError_t synchronize() {
  if (any_capture()) return cudaErrorStreamCaptureUnsupported;
  count(Counter::synchronizations);
  // Waiting for the lock is waiting for what other threads have launched.
  std::lock_guard<std::mutex> execute(execution_lock());
  return cudaSuccess;
}

double milliseconds_now() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

struct Event {
  double recorded_at;
};

cudaError_t create_event(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new Event{milliseconds_now()});
  return cudaSuccess;
}

cudaError_t create_stream(cudaStream_t* stream) {
  // Handles 0, 1 and 2 mean the default streams; anything else that is unique will do.
  static std::atomic<std::uintptr_t> next{0x1000};
  *stream = reinterpret_cast<cudaStream_t>(next += 16);
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_on_cpu

using namespace cuda_on_cpu;

#pragma GCC visibility push(default)
extern "C" {

// ---- for the harness itself (called through ctypes from Python) ----

void cuda_on_cpu_read_counters(std::int64_t* values) {
  for (int i = 0; i < static_cast<int>(Counter::number_of_counters); ++i) values[i] = counters[i];
}
void cuda_on_cpu_reset_counters() {
  for (auto& counter : counters) counter = 0;
}
void cuda_on_cpu_count_library_call(const char* name) {
  count(Counter::library_calls);
  trace({"library", name});
}
void cuda_on_cpu_set_devices(int number, bool peer_access) {
  device_count = number < max_devices ? number : max_devices;
  peers_are_possible = peer_access;
}
void cuda_on_cpu_read_memory(int device, std::size_t* live, std::size_t* peak, std::size_t* limit) {
  std::lock_guard<std::mutex> hold(memory_lock);
  *live = devices[device].live_bytes;
  *peak = devices[device].peak_bytes;
  *limit = devices[device].memory_limit;
}
void cuda_on_cpu_set_peak(int device, std::size_t bytes) {
  std::lock_guard<std::mutex> hold(memory_lock);
  devices[device].peak_bytes = bytes > devices[device].live_bytes ? bytes : devices[device].live_bytes;
}
void cuda_on_cpu_set_memory_limit(int device, std::size_t bytes) {
  std::lock_guard<std::mutex> hold(memory_lock);
  devices[device].memory_limit = bytes;
}
// CuPy's memory pool hands out memory again without asking the runtime, so the allocator that the harness puts
// in front of the pool comes here: an array from cupy.empty never shows the values of an older one.
void cuda_on_cpu_poison_allocation(void* pointer, std::size_t bytes) {
  count(Counter::allocations);
  if (pointer) std::memset(pointer, fresh_poison, bytes);
}

// ---- errors and versions ----

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorPeerAccessAlreadyEnabled: return "cudaErrorPeerAccessAlreadyEnabled";
    case cudaErrorPeerAccessNotEnabled: return "cudaErrorPeerAccessNotEnabled";
    case cudaErrorPeerAccessUnsupported: return "cudaErrorPeerAccessUnsupported";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    default: return "cudaErrorUnknown";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorPeerAccessAlreadyEnabled: return "peer access is already enabled";
    case cudaErrorPeerAccessNotEnabled: return "peer access has not been enabled";
    case cudaErrorPeerAccessUnsupported: return "peer access is not supported between these two devices";
    case cudaErrorNotSupported: return "operation not supported by the CUDA-on-CPU harness";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    default: return "unknown error in the CUDA-on-CPU harness";
  }
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) {
  *version = cuda_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = cuda_version;
  return cudaSuccess;
}
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

// ---- devices ----

cudaError_t cudaGetDeviceCount(int* number) {
  *number = device_count;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = chosen_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!is_device_number(device)) return cudaErrorInvalidDevice;
  chosen_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return synchronize(); }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!is_device_number(device)) return cudaErrorInvalidDevice;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = compute_capability_major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = compute_capability_minor; break;
    case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = max_threads_per_block; break;
    case cudaDevAttrMaxBlockDimX: *value = max_threads_per_block; break;
    case cudaDevAttrMaxBlockDimY: *value = max_threads_per_block; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY: *value = 65535; break;
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrWarpSize: *value = warp_size; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = max_shared_memory_per_block; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!is_device_number(device)) return cudaErrorInvalidDevice;
  std::memset(properties, 0, sizeof *properties);
  std::snprintf(properties->name, sizeof properties->name, "CUDA on CPU %d", device);
  properties->major = compute_capability_major;
  properties->minor = compute_capability_minor;
  properties->multiProcessorCount = multiprocessors;
  properties->warpSize = warp_size;
  properties->maxThreadsPerBlock = max_threads_per_block;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = max_threads_per_block;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 2147483647;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->sharedMemPerBlock = max_shared_memory_per_block;
  properties->totalGlobalMem = devices[device].memory_limit;
  properties->unifiedAddressing = 1;
  properties->pciBusID = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  if (!is_device_number(device)) return cudaErrorInvalidDevice;
  std::snprintf(id, length, "0000:%02X:00.0", device);
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* answer, int device, int peer) {
  if (!is_device_number(device) || !is_device_number(peer)) return cudaErrorInvalidDevice;
  *answer = peers_are_possible && device != peer;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  if (!is_device_number(peer) || peer == chosen_device) return cudaErrorInvalidDevice;
  if (!peers_are_possible) return cudaErrorPeerAccessUnsupported;
  return has_access[chosen_device][peer].exchange(true) ? cudaErrorPeerAccessAlreadyEnabled : cudaSuccess;
}
cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  if (!is_device_number(peer)) return cudaErrorInvalidDevice;
  return has_access[chosen_device][peer].exchange(false) ? cudaSuccess : cudaErrorPeerAccessNotEnabled;
}

// ---- memory ----

cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned) { return allocate(pointer, bytes); }
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) { return allocate(pointer, bytes); }
cudaError_t cudaFree(void* pointer) { return release(pointer); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return release(pointer); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  constexpr size_t page = 4096;
  *pointer = std::aligned_alloc(page, (bytes + page) / page * page);
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void*, size_t, unsigned) { return cudaSuccess; }
cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> hold(memory_lock);
  const Device& device = devices[chosen_device];
  *total = device.memory_limit;
  *free = device.memory_limit > device.live_bytes ? device.memory_limit - device.live_bytes : 0;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  std::lock_guard<std::mutex> hold(memory_lock);
  auto* allocation = find_allocation(pointer);
  std::memset(attributes, 0, sizeof *attributes);
  attributes->type = allocation ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->device = allocation ? allocation->second.device : -2;
  attributes->devicePointer = allocation ? const_cast<void*>(pointer) : nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(to, from, bytes, kind, stream);
}
cudaError_t cudaMemcpyPeer(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  return copy_to_peer(to, to_device, from, from_device, bytes, nullptr);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream) {
  return copy_to_peer(to, to_device, from, from_device, bytes, stream);
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
  return copy_rows(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_rows(to, to_pitch, from, from_pitch, width, height, kind, stream);
}
cudaError_t cudaMemset(void* target, int value, size_t bytes) { return fill(target, value, bytes, nullptr); }
cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  return fill(target, value, bytes, stream);
}

// ---- streams and events ----

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return create_stream(stream); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return create_stream(stream); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return create_stream(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return synchronize(); }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamGetFlags(cudaStream_t, unsigned* flags) {
  *flags = cudaStreamDefault;
  return cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
  *priority = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* data, unsigned) {
  callback(stream, cudaSuccess, data);
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  function(data);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return create_event(event); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return create_event(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<Event*>(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  reinterpret_cast<Event*>(event)->recorded_at = milliseconds_now();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return synchronize(); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = static_cast<float>(reinterpret_cast<Event*>(end)->recorded_at -
                                     reinterpret_cast<Event*>(start)->recorded_at);
  return cudaSuccess;
}

// ---- graphs ----

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream) return cudaErrorStreamCaptureUnsupported;  // the legacy default stream cannot be captured
  return begin_capture(stream) ? cudaSuccess : cudaErrorIllegalState;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = reinterpret_cast<cudaGraph_t>(end_capture(stream));
  return *graph ? cudaSuccess : cudaErrorIllegalState;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = graph_captured_by(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new Graph(*reinterpret_cast<Graph*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  count(Counter::graph_launches);
  trace({"graph", "cudaGraphLaunch", stream});
  std::lock_guard<std::mutex> execute(execution_lock());
  return static_cast<cudaError_t>(reinterpret_cast<Graph*>(executable)->replay());
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Graph*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete reinterpret_cast<Graph*>(executable);
  return cudaSuccess;
}

}  // extern "C"
#pragma GCC visibility pop
