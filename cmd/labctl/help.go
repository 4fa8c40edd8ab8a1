package main

import (
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/argv"
	"github.com/labctl/labctl/internal/session"
)

// group gives commands a heading in the list of all of them.
func group(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
		root.AddCommand(cmd)
	}
}

// examples are what the help of a command shows, by its path.
var examples = map[string]string{
	"apply":            "labctl apply\nlabctl apply -var nat_b=symmetric -test\nlabctl apply lab.plan",
	"capture":          "labctl capture nat.a eth0 -protocol udp\nlabctl capture nat.a eth0 -w - | wireshark -k -i -",
	"completion":       "labctl completion bash > /etc/bash_completion.d/labctl",
	"console":          "labctl console nat.a",
	"destroy":          "labctl destroy\nlabctl destroy -lab holepunch",
	"docs":             "labctl docs docs/reference",
	"doctor":           "sudo labctl doctor",
	"eval":             "labctl eval 'vm.nat[\"a\"].ip'\nlabctl eval '[for name, router in vm.nat : router.ip]'",
	"exec":             "labctl exec nat.a -- nft list ruleset\nlabctl exec nat.a -- sh -c 'ip route | wc -l'",
	"explain":          "labctl explain LAB0002",
	"flows":            "labctl flows nat.a -watch -protocol udp",
	"fmt":              "labctl fmt\nlabctl fmt -check -recursive labs\nlabctl fmt - <lab.hcl",
	"graph":            "labctl graph -out lab.svg\nlabctl graph -type mermaid examples/holepunch",
	"image build":      "labctl image build micro",
	"image":            "labctl image list",
	"image list":       "labctl image list",
	"image prune":      "labctl image prune",
	"image pull":       "labctl image pull examples/holepunch",
	"image verify":     "labctl image verify",
	"ip":               "ping \"$(labctl ip client.a)\"",
	"list":             "labctl list\nlabctl list -unmanaged",
	"lsp":              "labctl lsp",
	"output":           "labctl output\nlabctl output -raw address",
	"plan":             "labctl plan\nlabctl plan -out=lab.plan\nlabctl plan -target 'vm.nat[\"a\"]' examples/holepunch",
	"restart":          "labctl restart nat.a",
	"rules":            "labctl rules nat.a -watch",
	"sandbox":          "sudo labctl sandbox\nsudo labctl sandbox -- labctl -chdir=examples/holepunch apply -auto-approve",
	"schema":           "labctl schema >lab.schema.json",
	"show":             "labctl show lab.plan\nlabctl show -json lab.plan",
	"snapshot":         "labctl snapshot save clean\nlabctl snapshot restore clean",
	"snapshot delete":  "labctl snapshot delete clean",
	"snapshot list":    "labctl snapshot list",
	"snapshot restore": "labctl snapshot restore clean",
	"snapshot save":    "labctl snapshot save clean",
	"start":            "labctl start\nlabctl start nat.a client.a",
	"status":           "labctl status\nlabctl status -json examples/holepunch",
	"stop":             "labctl stop\nlabctl stop nat.a -timeout 0",
	"test":             "labctl test\nlabctl test -run punch -junit report.xml\nlabctl test -run punch -grid 'nat_a=local.types' -grid 'nat_b=local.types' -html grid.html",
	"validate":         "labctl validate",
	"version":          "labctl version",
}

// explainCommands gives every command of root its examples, labctl's own help, and labctl's own word on wrong use.
func explainCommands(root *cobra.Command) {
	var each func(cmd *cobra.Command, path string)
	each = func(cmd *cobra.Command, path string) {
		cmd.Example = examples[path]
		for _, sub := range cmd.Commands() {
			below := sub.Name()
			if path != "" {
				below = path + " " + below
			}
			each(sub, below)
		}
	}
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	each(root, "")
	argv.ShowHelp(root, session.Width)
	argv.ExplainUsage(root)
}
