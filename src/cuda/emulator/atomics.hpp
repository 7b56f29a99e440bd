// CUDA's atomic functions: blocks run on several threads of the system.
#pragma once

namespace emulator {

// Replaces *p by change(*p); returns what it was.
template <class T, class Change>
T atomic_change(T* p, Change change) {
  T old;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  T changed = change(old);
  while (!__atomic_compare_exchange(p, &old, &changed, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    changed = change(old);
  return old;
}

// Keeps a parameter from taking part in the choice of T: atomicAdd(&number, 1).
template <class T>
struct Same {
  using type = T;
};

}  // namespace emulator

template <class T>
T atomicAdd(T* p, typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T old) { return old + value; });
}
template <class T>
T atomicMax(T* p, typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* p, typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicOr(T* p, typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T old) { return old | value; });
}
template <class T>
T atomicExch(T* p, typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* p, typename emulator::Same<T>::type expected,
            typename emulator::Same<T>::type value) {
  return emulator::atomic_change(p, [=](T old) { return old == expected ? value : old; });
}
