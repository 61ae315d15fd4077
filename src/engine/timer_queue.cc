#include "engine/timer_queue.h"

#include <algorithm>

namespace stile::engine {
namespace {
constexpr std::size_t arity = 4;
}

void TimerQueue::start(Timer& timer, Instant deadline) {
  timer.deadline_ = deadline;
  const Entry entry{deadline, &timer};
  if (timer.heap_index_ == Timer::outside_heap) {
    heap_.push_back(entry);
    sift_up(heap_.size() - 1, entry);
    return;
  }
  const std::size_t index = timer.heap_index_;
  if (deadline < heap_[index].deadline) {
    sift_up(index, entry);
  } else {
    sift_down(index, entry);
  }
}

bool TimerQueue::remove(Timer& timer) noexcept {
  if (timer.heap_index_ == Timer::outside_heap) return false;
  const std::size_t index = timer.heap_index_;
  STILE_ASSERT(index < heap_.size() && heap_[index].timer == &timer);
  const Entry last = heap_.back();
  heap_.pop_back();
  timer.heap_index_ = Timer::outside_heap;
  if (last.timer == &timer) return true;
  if (index > 0 && last.deadline < heap_[(index - 1) / arity].deadline) {
    sift_up(index, last);
  } else {
    sift_down(index, last);
  }
  return true;
}

Timer* TimerQueue::take_due(Instant now) noexcept {
  if (heap_.empty() || heap_.front().deadline > now) return nullptr;
  Timer* const timer = heap_.front().timer;
  remove(*timer);
  return timer;
}

std::optional<Instant> TimerQueue::next() const noexcept {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().deadline;
}

void TimerQueue::place(std::size_t index, const Entry& entry) noexcept {
  heap_[index] = entry;
  entry.timer->heap_index_ = static_cast<std::uint32_t>(index);
}

void TimerQueue::sift_up(std::size_t index, const Entry& entry) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / arity;
    if (heap_[parent].deadline <= entry.deadline) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerQueue::sift_down(std::size_t index, const Entry& entry) noexcept {
  for (;;) {
    const std::size_t first = index * arity + 1;
    if (first >= heap_.size()) break;
    const std::size_t end = std::min(first + arity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].deadline < heap_[least].deadline) least = child;
    }
    if (entry.deadline <= heap_[least].deadline) break;
    place(index, heap_[least]);
    index = least;
  }
  place(index, entry);
}

}  // namespace stile::engine
