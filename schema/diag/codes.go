package diag

// The codes. A code is never used again for something else; see Codes for what each means.
const (
	Syntax          = "LAB0001"
	UnknownArgument = "LAB0002"
	UnknownBlock    = "LAB0003"
	MissingArgument = "LAB0004"
	WrongLabels     = "LAB0005"
	WrongCount      = "LAB0006"
	WrongType       = "LAB0007"
	NotAllowed      = "LAB0008"
	OutOfRange      = "LAB0009"
	Malformed       = "LAB0010"
	NoPrefixLength  = "LAB0011"
	Conflict        = "LAB0012"
	Duplicate       = "LAB0013"
	BadName         = "LAB0014"
	NoLab           = "LAB0015"
	NoFiles         = "LAB0016"
	Version         = "LAB0017"

	Evaluation    = "LAB0101"
	UnknownRef    = "LAB0102"
	Cycle         = "LAB0103"
	BadInstances  = "LAB0104"
	BadAddress    = "LAB0105"
	WrongRef      = "LAB0106"
	NotStatic     = "LAB0107"
	Module        = "LAB0108"
	Condition     = "LAB0109"
	SensitiveKey  = "LAB0110"
	SensitiveShow = "LAB0111"
	KnownLater    = "LAB0112"

	NoValue       = "LAB0201"
	BadValue      = "LAB0202"
	Validation    = "LAB0203"
	UnknownVar    = "LAB0204"
	BadVarFile    = "LAB0205"
	BadDefinition = "LAB0206"

	DuplicateAddress = "LAB0301"
	DuplicateMAC     = "LAB0302"
	DuplicateName    = "LAB0303"
	LongName         = "LAB0304"
	GatewayOutside   = "LAB0305"
	NoInterface      = "LAB0306"
	NoSubnet         = "LAB0307"
	NoNetwork        = "LAB0308"
	NATInterface     = "LAB0309"
	ForwardTwice     = "LAB0310"
	Overlap          = "LAB0311"
	NotAHostAddress  = "LAB0312"
	WrongFamily      = "LAB0313"
	OtherHost        = "LAB0314"
	NoSource         = "LAB0315"
	MovedAgain       = "LAB0316"
	UnknownOS        = "LAB0317"
	NoOSDatabase     = "LAB0318"
	NotNeutral       = "LAB0319"

	NATNoForwarding  = "LAB0401"
	GatewayUnknown   = "LAB0402"
	DroppedPort      = "LAB0403"
	AsymmetricRoute  = "LAB0404"
	UnusedRuleset    = "LAB0405"
	GatewayNoForward = "LAB0406"
	NoNeighbours     = "LAB0407"
)

// Explanation is what `labctl explain` tells of a code.
type Explanation struct {
	Code  string `json:"code"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Explain is the explanation of a code.
func Explain(code string) (Explanation, bool) {
	for _, e := range Codes() {
		if e.Code == code {
			return e, true
		}
	}
	return Explanation{}, false
}

// Codes lists every code with its explanation, in order.
func Codes() []Explanation {
	return append(append(languageCodes(), valueCodes()...), labCodes()...)
}

func languageCodes() []Explanation {
	return []Explanation{
		{Syntax, "the file is not HCL", "The text does not follow HCL's syntax: a bracket or quote is not closed, an = is missing, a comma stands where none may. Labs use HCL's native syntax in *.hcl, and its JSON syntax in *.hcl.json."},
		{UnknownArgument, "there is no such argument", "The block takes no argument of this name. `labctl docs` and `labctl schema` list those that it takes. Where the name is the name of a nested block, write it with braces and without =."},
		{UnknownBlock, "there is no such block", "No block of this kind may stand here. Where the name is the name of an argument, write it with = and its value."},
		{MissingArgument, "an argument is missing", "The block cannot do without this argument, or its value was null."},
		{WrongLabels, "the labels are wrong", "The labels of a block stand in quotes between its kind and the opening brace: `bridge \"br0\" {`. There are too few of them, too many, or one is none of those that are possible."},
		{WrongCount, "a block stands too often, or not at all", "Some blocks may stand only once in their parent, and some must."},
		{WrongType, "the value has the wrong type", "The argument takes another type of value, and the value cannot be converted: a list where a text is wanted, say."},
		{NotAllowed, "the value is none of those allowed", "The argument takes one of a few words."},
		{OutOfRange, "the number is too small or too large", "The argument takes numbers in a range."},
		{Malformed, "the value is not written as it must be", "The argument takes text of one form: an address, a prefix, a MAC address, a size with its unit, a time with its unit."},
		{NoPrefixLength, "the prefix length is missing", "Addresses of interfaces are written with their prefix length, as 192.168.111.1/24, so that the subnet is known."},
		{Conflict, "two arguments exclude each other", "Only one of the two may be given: they say the same thing in two ways, or contradict each other."},
		{Duplicate, "the same thing is declared twice", "Two blocks of one kind have the same label, or one argument stands twice."},
		{BadName, "the name cannot be used", "Names of blocks are letters, digits, _ and -, and begin with a letter or _. A lab's name is used in names of files and interfaces, and is at most 32 lower-case letters, digits, - and _."},
		{NoLab, "the lab has no name", "One file of the folder must hold a block `lab \"NAME\" { }`. The name marks everything that the lab owns."},
		{NoFiles, "there is no lab in the folder", "The folder has no file that ends in .hcl or .hcl.json. Give the lab's folder as the last argument, or go there."},
		{Version, "the lab wants another version of labctl", "required_version in the lab block leaves this version of labctl out."},
	}
}

func valueCodes() []Explanation {
	return []Explanation{
		{Evaluation, "the expression has no value", "Evaluating it failed: an operator or a function got what it cannot work with, or an attribute or element is not there. The values of its parts are shown under the source line."},
		{UnknownRef, "there is nothing of that name", "The expression refers to a block, variable or local value that is declared nowhere in this folder. Names are looked for in the folder that the expression stands in: a module sees only its own."},
		{Cycle, "values depend on each other in a circle", "Each of the values in the chain needs the next one, and the last needs the first, so none can be found first. Write one of them without the reference."},
		{BadInstances, "for_each or count cannot be used", "for_each takes a map, an object, or a set of strings (toset([…]) makes one of a list); count takes a whole number from 0. One block has at most one of the two."},
		{BadAddress, "the address is malformed", "Addresses are written as references, without quotes: vm.client, vm.nat[\"a\"], module.site[\"a\"].bridge.br0."},
		{WrongRef, "the reference is to the wrong thing", "The argument wants a block of another kind, or one instance of a block that has several: vm.nat[\"a\"] instead of vm.nat."},
		{NotStatic, "the value must be written out", "It is needed before anything can be evaluated, so it can hold no reference."},
		{Module, "the module cannot be used", "Its source is a folder beside or below this one, written ./NAME or ../NAME, which holds *.hcl files and does not use itself again."},
		{Condition, "a condition does not hold", "A precondition, a postcondition or a check on an output was not met. The message is the lab's own."},
		{SensitiveKey, "a sensitive value would become a name", "Keys of for_each are parts of addresses, which are shown. Use keys that are not secret."},
		{SensitiveShow, "the output would show a sensitive value", "An output whose value is made from a sensitive one must say sensitive = true."},
		{KnownLater, "the value is known only after an apply", "Some values are known only while a machine runs: the addresses that a DHCP server gave it, the port that libvirt chose for a screen, its terminals. A plan cannot depend on them, so they may be used in output blocks alone, also by way of locals and modules' outputs. `labctl output` reads them, and apply shows them at its end. Where other blocks need an address, declare it: addresses on the interface, or a lease for its MAC address in the network block."},
		{NoValue, "a variable has no value", "The variable has no default, and no value was given with -var, in a -var-file, in labctl.hclvars, in a *.auto.hclvars file or in LABCTL_VAR_name."},
		{BadValue, "a variable's value has the wrong type", "The value given does not fit the variable's type."},
		{Validation, "a variable's value is refused", "The value does not meet a validation of the variable. The message is the lab's own."},
		{UnknownVar, "a value is given to no variable", "The name is that of no variable of the lab or module."},
		{BadVarFile, "the file of values cannot be used", "Files of values hold NAME = VALUE lines and nothing else; values are written out, with no references."},
		{BadDefinition, "the variable is declared badly", "The type is not a type constraint, or the default does not fit it."},
	}
}

func labCodes() []Explanation {
	return []Explanation{
		{DuplicateAddress, "an address is used twice", "Two interfaces on one bridge have the same address; whichever answers first would win."},
		{DuplicateMAC, "a MAC address is used twice", "Two interfaces on one bridge or network have the same MAC address; the bridge would send to the one that spoke last."},
		{DuplicateName, "a name is used twice", "Two things that the host tells apart by name alone have the same one. Under for_each, make name differ with each.key."},
		{LongName, "an interface's name is too long", "Linux interface names have at most 15 characters, no / and no spaces."},
		{GatewayOutside, "the gateway is outside every subnet", "No interface has an address in the subnet of the gateway, so it can never be reached. Correct the gateway or the prefix length, or say on_link = true with the interface."},
		{NoInterface, "the interface is not there", "A route or nat names an interface that the machine does not declare."},
		{NoSubnet, "the route has no way out", "A route needs via or interface (or a type that needs neither, such as blackhole)."},
		{NoNetwork, "the interface is not plugged in", "An interface has exactly one of bridge and network."},
		{NATInterface, "the NAT has no outside address", "The interface that nat calls outside must have an address or ask for one with dhcp4."},
		{ForwardTwice, "an outside port is forwarded twice", "Two forward blocks of one router claim the same port and protocol."},
		{Overlap, "two bridges have overlapping subnets", "The host can reach a subnet through one interface only; packets for the other bridge would go astray."},
		{NotAHostAddress, "the address is not one of a host", "It is the subnet's own (all host bits 0) or its broadcast address (all host bits 1)."},
		{WrongFamily, "the address families do not fit", "A route to an IPv4 prefix needs an IPv4 gateway, one to an IPv6 prefix an IPv6 gateway."},
		{OtherHost, "the two are on different hosts", "A machine and the bridge, network or image that it uses must be on the same host."},
		{NoSource, "the machine has nothing to start from", "A vm takes exactly one of image, clone and cdrom, unless boot has a kernel, a disk has a source, or boot.order names the network."},
		{MovedAgain, "moved blocks contradict one another", "An address may be moved from only once, and what was moved or removed may not be declared any more."},
		{UnknownOS, "there is no such operating system", "os_variant takes a short name of libosinfo's database, which `osinfo-query os` lists, or `virt-install --osinfo list`. A system that is newer than the database is not in it: name the one before, or a generic one such as linux2022."},
		{NoOSDatabase, "libosinfo's database cannot be read", "os_variant is looked up in libosinfo's database on the machine that runs labctl: /usr/share/osinfo of the package osinfo-db, /etc/osinfo and ~/.config/osinfo. Install the package, or leave os_variant out and say machine, firmware, and bus and model of disks and interfaces."},
		{NotNeutral, "the prefixes change checksums", "Translating a prefix of more than 48 bits must leave the checksum of packets as it is, for nft cannot mend it in the host's part of an address (RFC 6296, 3.5). The words of both prefixes have to add up to the same: the message names a prefix that does."},
		{NATNoForwarding, "the NAT router does not forward", "nat and nat6 rewrite packets that the machine forwards, and without forwarding = true it forwards none."},
		{GatewayUnknown, "nobody has the gateway's address", "The gateway is in the right subnet, but neither the bridge nor a machine of the lab on it has that address."},
		{DroppedPort, "the firewall drops what the check expects", "A check expects an open port on a machine whose input chain drops by default and accepts that port in no rule."},
		{AsymmetricRoute, "several default routes compete", "The machine has several default routes of one metric; which is used is up to chance."},
		{UnusedRuleset, "the ruleset is attached to nothing", "No vm and no host names this nftables block, so its rules are loaded nowhere."},
		{GatewayNoForward, "the gateway does not forward", "A machine's gateway is a vm of the lab (or the host) without forwarding = true."},
		{NoNeighbours, "the firewall hides the machine from its IPv6 neighbours", "IPv6 has no ARP: neighbours find one another by ICMPv6 (RFC 4861), which an input chain whose policy is drop keeps out unless a rule accepts nd-neighbor-solicit and nd-neighbor-advert. These are of no tracked connection, so ct state established does not let them in."},
	}
}
