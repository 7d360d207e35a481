// The one header of the CUDA toolkit that CuPy's runtime wrapper includes and the wheels of requirements.txt lack.
#pragma once

#include <cuda_runtime_api.h>

extern "C" {
cudaError_t cudaProfilerStart(void);
cudaError_t cudaProfilerStop(void);
}
