// What a translator's events say there is: who folds them all has its table.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>

#include "nat/translator.h"

namespace napt {

class Told {
 public:
  /// Takes the events that there are. What can't be is kept as `fault`.
  void hear(Translator& nat) {
    nat.events().take(~0u, [&](const Event& e) { hear(e); });
    if (nat.events().lost() != 0) require(false, "an event was lost");
  }

  void hear(const Event& e) {
    require(e.at >= latest_, "events go back in time");
    latest_ = e.at;
    const Block block{e.inside, e.publicAddress, e.numbers[0], e.numbers[1]};
    auto& level = levels_[{e.publicAddress, e.protocol}];
    switch (e.type) {
      case EventType::SessionOpened:
        require(sessions_.emplace(flowOf(e), placeOf(e)).second, "a session opened twice");
        break;
      case EventType::SessionExpired:
      case EventType::SessionEvicted:
      case EventType::SessionDeleted:
        require(known(e), "a session ended that was none");
        sessions_.erase(flowOf(e));
        break;
      case EventType::BindingCreated:
        bindings_.insert(bindingOf(e));
        break;
      case EventType::BindingReleased: {
        const auto at = bindings_.find(bindingOf(e));
        require(at != bindings_.end(), "a binding was released that was none");
        if (at != bindings_.end()) bindings_.erase(at);
        break;
      }
      case EventType::BlockAllocated:
        require(blocks_.insert(block).second, "a block given twice");
        break;
      case EventType::BlockReleased:
        require(blocks_.erase(block) == 1, "a block taken back that nobody had");
        break;
      case EventType::PoolThreshold:
        require(level == 0 && e.numbers[0] <= e.numbers[1], "no edge to the threshold");
        level = 1;
        break;
      case EventType::PoolExhausted:
        require(level != 2 && e.numbers[0] == e.numbers[1], "no edge to exhaustion");
        level = 2;
        break;
      case EventType::PoolRelieved:
        require(level != 0, "relieved without pressure");
        level = 0;
        break;
      case EventType::HostLimit:
        break;
      default:
        require(known(e), "something became of a session that was none");
    }
  }

  /// Where the table is another than told, or an empty string.
  std::string differs(const Config& config, Translator& nat) {
    hear(nat);
    if (!fault.empty()) return fault;
    std::map<Flow, Place> sessions;
    std::multiset<Binding> bindings;
    for (uint32_t slot = 0; slot < nat.sessions().used(); slot++) {
      const Session& s = nat.sessions()[slot];
      if (s.protocol == 0) continue;
      sessions[flowOf(s)] = placeOf(s);
      const bool isHead = nat.sessions().links(slot).bindingPrevious == 0;
      if ((s.flags & kPermanent) == 0 && isHead) bindings.insert(bindingOf(s));
    }
    if (sessions != sessions_) return "the sessions are others than told";
    if (bindings != bindings_) return "the bindings are others than told";
    uint64_t blocks = 0;
    for (uint32_t a = 0; a < nat.poolSize(); a++) blocks += nat.portUse(a).blocksUsed;
    if (config.blockHold == 0 && blocks != blocks_.size()) return "the blocks are others than told";
    return {};
  }

  std::string fault;

 private:
  using Flow = std::tuple<uint8_t, uint32_t, uint16_t, uint32_t, uint16_t>;
  using Place = std::tuple<uint32_t, uint16_t>;
  using Binding = std::tuple<uint8_t, uint32_t, uint16_t, uint32_t, uint16_t>;
  using Block = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;

  template <class From>
  static Flow flowOf(const From& f) {
    return {f.protocol, f.inside, f.insidePort, f.remote, f.remotePort};
  }
  template <class From>
  static Place placeOf(const From& f) {
    return {f.publicAddress, f.publicPort};
  }
  template <class From>
  static Binding bindingOf(const From& f) {
    return {f.protocol, f.inside, f.insidePort, f.publicAddress, f.publicPort};
  }

  void require(bool ok, const char* what) {
    if (!ok && fault.empty()) fault = what;
  }

  bool known(const Event& e) const {
    const auto at = sessions_.find(flowOf(e));
    return at != sessions_.end() && at->second == placeOf(e);
  }

  std::map<Flow, Place> sessions_;
  std::multiset<Binding> bindings_;
  std::set<Block> blocks_;
  std::map<std::pair<uint32_t, uint8_t>, int> levels_;
  uint64_t latest_ = 0;
};

}  // namespace napt
