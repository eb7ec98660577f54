//! The application as a service of systemd, on a machine without containers.
//!
//! The application file is used as it is: databases without a url are the host's own there, as on a laptop.

use wasm_host_limits::deploy as limits;

use crate::kubernetes::seconds;
use crate::plan::{Origin, SecretKey};
use crate::{File, Plan, image};

/// The unit, and an example of the file with its secrets.
pub fn files(plan: &Plan) -> Vec<File> {
    let mut files = vec![File::new(format!("{}.service", plan.name), unit(plan))];
    let secrets = own_secrets(plan);
    if !secrets.is_empty() {
        files.push(File::new(format!("{}.env.example", plan.name), example(plan, &secrets)));
    }
    files
}

/// Those that the application file names: servers beside the host have none here.
fn own_secrets(plan: &Plan) -> Vec<&SecretKey> {
    plan.secrets.iter().filter(|secret| secret.origin == Origin::Environment).collect()
}

fn example(plan: &Plan, secrets: &[&SecretKey]) -> String {
    let mut text = format!(
        "# As /etc/{0}/{0}.env, with mode 0600 and owned by root: systemd reads it, and hands it to the host alone.\n",
        plan.name
    );
    for secret in secrets {
        text.push_str(&format!("{}=\n", secret.name));
    }
    text
}

fn unit(plan: &Plan) -> String {
    let Plan { name, .. } = plan;
    let stop = seconds(plan.grace());
    // Servers of the host's own are in its group.
    let servers = plan.databases.len() as u64 * limits::DATABASE_MEMORY_BYTES;
    let memory = plan.memory_bytes + servers;
    let file = image::FILE;
    let reload = match plan.tls {
        Some(_) => "# Certificate and key are read anew.\nExecReload=/bin/kill -HUP $MAINPID\n",
        None => "",
    };
    let capability = if plan.has_privileged_port { "CAP_NET_BIND_SERVICE" } else { "" };
    format!(
        "# Made by `wasm-host deploy systemd` from the application file.\n\
         #\n\
         # The program as /usr/local/bin/wasm-host, the folder of the application file as /opt/{name}, this as\n\
         # /etc/systemd/system/{name}.service, then: systemctl daemon-reload && systemctl enable --now {name}\n\
         [Unit]\n\
         Description=The application {name}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=exec\n\
         WorkingDirectory=/opt/{name}\n\
         EnvironmentFile=-/etc/{name}/{name}.env\n\
         ExecStart=/usr/local/bin/wasm-host serve {file} --state /var/lib/{name} --log-format json\n\
         {reload}\
         Restart=on-failure\n\
         RestartSec=2s\n\
         # Every accepted request is finished first.\n\
         KillMode=mixed\n\
         TimeoutStopSec={stop}s\n\
         MemoryMax={memory}\n\
         LimitNOFILE=1048576\n\
         \n\
         # A user that is there while it runs; its state stays.\n\
         DynamicUser=yes\n\
         StateDirectory={name}\n\
         StateDirectoryMode=0700\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         CapabilityBoundingSet={capability}\n\
         AmbientCapabilities={capability}\n\
         ProtectSystem=strict\n\
         ProtectHome=yes\n\
         PrivateTmp=yes\n\
         PrivateDevices=yes\n\
         ProtectClock=yes\n\
         ProtectHostname=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelTunables=yes\n\
         ProtectControlGroups=yes\n\
         ProtectProc=invisible\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         LockPersonality=yes\n\
         SystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\n\
         SystemCallErrorNumber=EPERM\n\
         # Not MemoryDenyWriteExecute: components are compiled to machine code.\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}
