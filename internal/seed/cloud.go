package seed

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/textproto"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/labctl/labctl/schema"
)

const cloudConfigHeader = "#cloud-config\n"

func metaData(instance, hostname string) []byte {
	text := fmt.Sprintf("instance-id: %s\n", instance)
	if hostname != "" {
		text += fmt.Sprintf("local-hostname: %s\n", hostname)
	}
	return []byte(text)
}

// install puts the helper and its unit in place on the first boot and calls the helper, as the unit will on later boots. It is for
// cloud-init's bootcmd, which runs on every boot, with the network up and before the agent: it does nothing where the helper is there
// already. The service manager is not told of the unit before the next boot, since for that it would read all units again, which
// takes longer than all the rest. What the helper cannot do yet, for want of a user say, it does once the agent calls it.
const install = `set -e
[ -x /usr/local/sbin/labctl-guest ] && exit 0
mkdir -p /run/labctl-seed
disc=/dev/disk/by-label/` + Label + `
[ -e "$disc" ] || disc=$(findfs LABEL=` + Label + `)
mount -t iso9660 -o ro "$disc" /run/labctl-seed
mkdir -p /usr/local/sbin
gzip -dc /run/labctl-seed/` + HelperPath + ` >/usr/local/sbin/labctl-guest.new
chmod 0755 /usr/local/sbin/labctl-guest.new
mv /usr/local/sbin/labctl-guest.new /usr/local/sbin/labctl-guest
umount /run/labctl-seed
if [ -d /run/systemd/system ]; then
  cat >/etc/systemd/system/labctl-guest.service <<'EOT'
[Unit]
Description=Converge this guest to what its lab declares
Documentation=https://github.com/labctl/labctl
After=network.target systemd-networkd.service systemd-sysctl.service nftables.service
Before=qemu-guest-agent.service cloud-config.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/labctl-guest boot

[Install]
WantedBy=multi-user.target
EOT
  mkdir -p /etc/systemd/system/multi-user.target.wants
  ln -sf /etc/systemd/system/labctl-guest.service /etc/systemd/system/multi-user.target.wants/
  /usr/local/sbin/labctl-guest boot || :
else
  cat >/etc/init.d/labctl-guest <<'EOT'
#!/sbin/openrc-run
description="Converge this guest to what its lab declares"

depend() {
	after net networking sysctl nftables
	before qemu-guest-agent
}

start() {
	ebegin "Converging to what the lab declares"
	/usr/local/sbin/labctl-guest boot
	eend $?
}
EOT
  chmod 0755 /etc/init.d/labctl-guest
  rc-update add labctl-guest default
  /usr/local/sbin/labctl-guest boot
fi
`

// userData is the cloud-config for the first boot, what the lab says as user_data merged in.
func userData(g *schema.Guest, helper bool) ([]byte, error) {
	config := map[string]any{"preserve_hostname": false}
	if g.Hostname != "" {
		config["hostname"] = g.Hostname
	}
	if helper {
		config["bootcmd"] = []any{[]any{"sh", "-c", install}}
	}
	if len(g.Packages) > 0 {
		config["package_update"] = true
		config["packages"] = list(g.Packages)
	}
	if g.SSH != nil {
		maps.Copy(config, login(g.SSH))
	}
	switch own := strings.TrimLeft(g.UserData, "\n"); {
	case own == "":
		return cloudConfig(config)
	case firstLine(own) == "#cloud-config":
		var declared map[string]any
		if err := yaml.Unmarshal([]byte(own), &declared); err != nil {
			return nil, fmt.Errorf("user_data is not a cloud-config: %w", err)
		}
		return cloudConfig(merge(config, declared))
	default:
		return multi(config, own)
	}
}

func login(ssh *schema.SSH) map[string]any {
	keys := list(ssh.AuthorizedKeys)
	if ssh.User == "" {
		return map[string]any{"ssh_authorized_keys": keys}
	}
	user := map[string]any{"name": ssh.User, "ssh_authorized_keys": keys, "lock_passwd": true}
	config := map[string]any{"users": []any{"default", user}}
	if ssh.User == "root" {
		config["disable_root"] = false
	} else {
		user["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
	}
	return config
}

func list(words []string) []any {
	out := make([]any, len(words))
	for i, word := range words {
		out[i] = word
	}
	return out
}

func cloudConfig(config map[string]any) ([]byte, error) {
	text, err := yaml.MarshalWithOptions(config, yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, err
	}
	return append([]byte(cloudConfigHeader), text...), nil
}

// merge lays over onto base: lists are joined, base's elements first, maps are merged, and otherwise over's value stands.
func merge(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	for key, value := range over {
		switch value := value.(type) {
		case map[string]any:
			if under, ok := out[key].(map[string]any); ok {
				out[key] = merge(under, value)
				continue
			}
		case []any:
			if under, ok := out[key].([]any); ok {
				out[key] = append(append([]any{}, under...), value...)
				continue
			}
		}
		out[key] = value
	}
	return out
}

// multi is a MIME archive of both, for user_data that is a script or another of cloud-init's formats.
func multi(config map[string]any, own string) ([]byte, error) {
	mine, err := cloudConfig(config)
	if err != nil {
		return nil, err
	}
	kind, err := contentType(own)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	parts := multipart.NewWriter(&out)
	if err := parts.SetBoundary("labctl-user-data"); err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", parts.Boundary())
	for _, part := range []struct {
		kind string
		text []byte
	}{{"text/cloud-config", mine}, {kind, []byte(own)}} {
		body, err := parts.CreatePart(textproto.MIMEHeader{
			"Content-Type": {part.kind + `; charset="utf-8"`}, "MIME-Version": {"1.0"},
		})
		if err != nil {
			return nil, err
		}
		if _, err := body.Write(part.text); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimRight(line, " \t\r")
}

// contentType is cloud-init's name of a format that it knows by its first line.
func contentType(text string) (string, error) {
	for _, known := range [][2]string{
		{"#!", "text/x-shellscript"},
		{"#include", "text/x-include-url"},
		{"#cloud-boothook", "text/cloud-boothook"},
		{"#part-handler", "text/part-handler"},
		{"#cloud-config-archive", "text/cloud-config-archive"},
		{"## template: jinja", "text/jinja2"},
	} {
		if strings.HasPrefix(text, known[0]) {
			return known[1], nil
		}
	}
	return "", fmt.Errorf("user_data begins with %q, which cloud-init does not know: begin it with #cloud-config or #!/bin/sh", firstLine(text))
}
