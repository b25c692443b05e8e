// nginx outside, for files at the lab's path.
import { writeFileSync } from "node:fs";
import { type Lab, OUTSIDE_HOST, type Running } from "./lab.js";

export function startNginx(lab: Lab): Promise<Running> {
  const path = lab.path("");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    lab.path("nginx.conf"),
    `daemon off; master_process off; user root; pid ${path}/nginx.pid; error_log stderr notice;
     events { worker_connections 1024; }
     http {
       access_log off; client_max_body_size 0;
       ${temporary.map((what) => `${what}_temp_path ${path}/${what};`).join(" ")}
       server { listen ${OUTSIDE_HOST}:80; root ${path}; location / { dav_methods PUT; } }
     }`,
  );
  return lab.start("out", /getrlimit/, "nginx", "-e", "stderr", "-c", lab.path("nginx.conf"));
}
