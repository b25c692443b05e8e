// One translator as a JavaScript object.
//
// Rarely used methods go through node-addon-api. The two hot calls, `translate` and
// `translateBatch`, are plain Node-API functions that carry the engine's pointer, so that a call
// costs no lookup and no wrapper object; they are properties of the engine and live as long.
#pragma once

#include <napi.h>

#include <map>
#include <memory>

#include "gateway/shared_translator.h"

namespace napt {

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

  /// The translator for a thread beside JavaScript's, which from now on takes turns with it.
  std::shared_ptr<SharedTranslator> share();
  /// Milliseconds of the caller's clock to the translator's nanoseconds, which count from
  /// `kOrigin` at the first time that was told.
  uint64_t toTime(double ms);

 private:
  /// Waits for the engine's turn, where it is shared.
  using Turn = std::unique_lock<std::mutex>;
  Turn turn() const { return shared_ == nullptr ? Turn() : Turn(shared_->mutex); }
  /// A method in its turn.
  template <Napi::Value (Engine::*Method)(const Napi::CallbackInfo&)>
  Napi::Value inTurn(const Napi::CallbackInfo& info) {
    const Turn own = turn();
    return (this->*Method)(info);
  }

  struct Batch;
  /// The batches of an engine by their numbers; null once nobody can use one.
  using Batches = std::vector<Batch*>;

  /// Memory of a batch. The reference keeps it alive as long as its object.
  struct Batch {
    std::shared_ptr<Batches> all;
    uint32_t number;
    BatchHeader* header;
    Descriptor* descriptors;
    uint8_t* bytes;
    size_t length;
    uint32_t slots;
    napi_ref memory;
  };

  static napi_value translate(napi_env env, napi_callback_info info);
  static napi_value translateBatch(napi_env env, napi_callback_info info);

  // taps.cpp
  Napi::Value openTap(const Napi::CallbackInfo& info);
  Napi::Value closeTap(const Napi::CallbackInfo& info);
  bool isTapped() const {
    return shared_ != nullptr && shared_->taps.any() && !shared_->taps.isLive;
  }
  void translateTapped(Descriptor* descriptors, uint32_t count, uint8_t* bytes, size_t length,
                       double now);
  void translateFew(Descriptor* descriptors, uint32_t count, uint8_t* bytes, size_t length,
                    double now);
  void showEmitted(const StoredPacket& packet, const uint8_t* bytes);

  // explain.cpp
  Napi::Value explain(const Napi::CallbackInfo& info);
  void foresee(uint8_t* memory, uint32_t length, double now, uint32_t wire, uint32_t flags);

  Napi::Value createBatch(const Napi::CallbackInfo& info);
  Napi::Value pending(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value recordEvents(const Napi::CallbackInfo& info);
  Napi::Value takeEvents(const Napi::CallbackInfo& info);
  Napi::Value eventsLost(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value sweep(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value find(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  Napi::Value map(const Napi::CallbackInfo& info);
  Napi::Value keep(const Napi::CallbackInfo& info);
  Napi::Value unmap(const Napi::CallbackInfo& info);
  Napi::Value findMapping(const Napi::CallbackInfo& info);
  Napi::Value publicAddressOf(const Napi::CallbackInfo& info);
  Napi::Value readStats(const Napi::CallbackInfo& info);
  Napi::Value countSessions(const Napi::CallbackInfo& info);
  Napi::Value readPorts(const Napi::CallbackInfo& info);
  Napi::Value readPortRanges(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value restore(const Napi::CallbackInfo& info);
  Napi::Value reconfigure(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  bool isOpen(Napi::Env env) const;
  Napi::Value answer(Napi::Env env, const Granted& granted) const;
  void writeRow(uint32_t slot, double* row) const;
  void writeRow(const Event& event, double* row) const;
  static Key keyOf(const double* row);

  /// What sessions bring from before a restart has a time, too: four and a half years back.
  static constexpr uint64_t kOrigin = uint64_t{1} << 57;
  double toMs(uint64_t time) const {
    return epoch_ + static_cast<double>(static_cast<int64_t>(time - kOrigin)) / 1e6;
  }

  Seed seed_{};
  std::unique_ptr<Translator> nat_;
  std::shared_ptr<SharedTranslator> shared_;  // null until somebody else needs it
  std::shared_ptr<Batches> batches_ = std::make_shared<Batches>();
  TapBurst tapBurst_;
  std::map<uint32_t, Napi::Reference<Napi::Uint8Array>> tapMemory_;
  double epoch_ = 0;
  bool started_ = false;
};

/// Numbers in a row of `read`, and of `takeEvents`.
constexpr uint32_t kSessionFields = 18;
/// Numbers in a row of `readPorts`.
constexpr uint32_t kPortFields = 4 + kPortSpaces;

}  // namespace napt
