{
  "targets": [
    {
      "target_name": "napt",
      "sources": [
        "<!@(node -p \"const s = require('./native/sources.json'); [...s.core, ...s.addon].join(' ')\")"
      ],
      "include_dirs": ["native", "<!@(node -p \"require('node-addon-api').include_dir\")"],
      # A worker may be terminated within a call: what can't be thrown then must not end the process.
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags": ["-O3", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wno-cast-function-type"],
      "ldflags": ["-Wl,-s"],
      "conditions": [
        ["OS=='linux'", {
          "sources": ["<!@(node -p \"require('./native/sources.json').linux.join(' ')\")"]
        }]
      ],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
        "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
        "GCC_OPTIMIZATION_LEVEL": "3",
        "MACOSX_DEPLOYMENT_TARGET": "12.0"
      }
    }
  ]
}
