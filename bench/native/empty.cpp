// The least that a native function of a packet can be: takes a Buffer, gives back a number.
#include <node_api.h>

namespace {

napi_value look(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument, result;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_buffer_info(env, argument, &data, &length);
  napi_create_uint32(env, static_cast<uint32_t>(length), &result);
  return result;
}

napi_value start(napi_env env, napi_value) {
  napi_value function;
  napi_create_function(env, "look", NAPI_AUTO_LENGTH, look, nullptr, &function);
  return function;
}

}  // namespace

NAPI_MODULE(napt_empty, start)
