// CUDA graphs: while a stream is captured, its work is written down instead of done; a launch does it all.
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace cuda_on_cpu {

class Graph {
 public:
  // A step answers a CUresult (or cudaError_t; the two share their numbers here), 0 for success.
  using Step = std::function<int()>;

  void record(Step step) { steps_.push_back(std::move(step)); }

  // The caller holds the execution lock.
  int replay() const {
    for (const Step& step : steps_) {
      if (int status = step()) return status;
    }
    return 0;
  }

 private:
  std::vector<Step> steps_;
};

// The graph that a stream is being captured into, or null.
Graph* graph_captured_by(const void* stream);
bool any_capture();
bool begin_capture(const void* stream);
// The finished graph, which now belongs to the caller; null when the stream was not being captured.
Graph* end_capture(const void* stream);

}  // namespace cuda_on_cpu
