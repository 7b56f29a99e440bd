// How a tile's pairs are measured, and on which tier of the device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "points.hpp"

namespace fastrfm::cuda {

// By the product of their coordinates (p = 2), the same on tensor cores (mma.cuh), by sums of absolute
// differences (p = 1), or by differences under a power that is looked up as it goes: general p, and
// p = 2 for so few coordinates that the rest of the work outweighs them.
enum class Form { product, tensor, absolute, general };

template <Form F>
inline constexpr bool is_product = F == Form::product || F == Form::tensor;

template <Form F>
using FormIs = std::integral_constant<Form, F>;

// Whether the products of p = 2 in float32, `flops` / 2 multiplications for each pair, are left to
// tensor cores. The environment variable FASTRFM_CUDA_TIER decides, if it is set: "simt" or "tensor".
// Throws Error for another value, and for "tensor" on a GPU that has none for TF32.
bool uses_tensor_cores(std::int64_t flops);

// Calls run(FormIs<F>{}). `columns`: of a second product with each tile, 0 where there is none.
template <class T, class Run>
void with_form(const Metric<T>& metric, std::int64_t columns, const Run& run) {
  if (metric.law.norm == Norm::one) return run(FormIs<Form::absolute>{});
  if (metric.law.norm != Norm::two) return run(FormIs<Form::general>{});
  if constexpr (std::is_same_v<T, float>)
    if (uses_tensor_cores(2 * (metric.depth + columns))) return run(FormIs<Form::tensor>{});
  run(FormIs<Form::product>{});
}

}  // namespace fastrfm::cuda
