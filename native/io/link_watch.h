// Tells that interfaces or their addresses have changed, by netlink. What they are now is for
// others to look up.
#pragma once

namespace napt {

class LinkWatch {
 public:
  LinkWatch();
  ~LinkWatch();
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;

  /// Whether there was a change since the last call.
  bool changed();

 private:
  int socket_;  // negative where the system allows none
};

}  // namespace napt
