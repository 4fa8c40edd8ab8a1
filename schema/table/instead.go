package table

// instead is what to write for words of Terraform's that the language does not have, by the kind of block that they would
// stand in; "resource" is for all blocks that make something.
func instead() map[string]map[string]string {
	const (
		noProviders = "labctl has no providers to choose or to set up. Where a thing is made is said by host = host.NAME."
		inside      = "What is to run in a machine goes into user_data or packages, for its first boot; labctl exec runs a command there at any time."
		secret      = "No value is kept between two runs, so none needs it. sensitive = true hides a value, and keeps it out of saved plans."
	)
	return map[string]map[string]string{
		"": {
			"terraform": "Nothing needs it: required_version stands in the lab block, lab.name tells labs apart, and the live systems are the state.",
			"provider":  noProviders, "providers": noProviders,
			"resource":  "The kind of a thing is the block's own: vm \"NAME\" { … } makes a vm, bridge \"NAME\" { … } a bridge.",
			"data":      "References give the values of blocks: bridge.br0.name. What exists already is used by its name, or with network \"NAME\" { existing = true }.",
			"ephemeral": secret,
			"workspace": "A lab has one name, written in its lab block. For a second one, copy the folder, or put what both need into a module.",
		},
		"resource": {
			"provider": noProviders, "provisioner": inside, "connection": inside,
			"nat64": "Neither nftables nor the kernel translates between IPv6 and IPv4. Run a translator such as tayga or jool in a machine made from an image that has it. nat6 translates IPv6 to IPv6.",
		},
		"variable": {"ephemeral": secret, "deprecated": "Say it in description.", "const": "Write its default, and give it no other value."},
		"output": {
			"depends_on": "An output is a value, known before anything is made. Write depends_on in the block that has to wait, with the module's name.",
			"ephemeral":  secret, "type": "An output has the type of its value; tostring, tolist and their like convert it.",
		},
		"module": {
			"version":   "A module is a folder beside the lab's, so it has no version of its own.",
			"providers": noProviders, "provider": noProviders,
		},
		"nat":  {"family": "nat is for IPv4; IPv6 has a block of its own, nat6.", "prefix": "Prefixes are translated one to one with IPv6: write nat6."},
		"nat6": {"family": "nat6 is for IPv6; IPv4 has a block of its own, nat."},
		"lifecycle": {
			"create_before_destroy": "It cannot be done: the old and the new one would have the same name, MAC addresses and disks. What is replaced is always removed first.",
			"destroy":               "To let go of a thing without removing it, write removed { from = …, destroy = false }, and take the block away.",
			"action_trigger":        inside,
		},
		"removed": {
			"lifecycle":   "Write destroy in the removed block itself: destroy = false.",
			"provisioner": inside, "connection": inside,
		},
		"import": {"provider": noProviders, "identity": "id is what the thing's own system calls it: a domain's, bridge's or network's name."},
		"check": {
			"assert":     "A check here is something that the machines show: ping, tcp, exec and others. A condition on values goes into a precondition of an output.",
			"data":       "References give the values of blocks: vm.nat.ip.",
			"depends_on": "Checks run when all of the lab is as it is declared.",
		},
	}
}
