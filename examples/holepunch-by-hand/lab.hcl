# The hole punching lab once more, with every rule written by hand in nft's own syntax. Compare it with ../holepunch, where
# a router's NAT is one word.

lab "byhand" {
  description = "Hole punching between routers whose rules are written by hand"
}

variable "masquerade" {
  description = "How NAT B translates: masquerade keeps the port, 'masquerade random' does not"
  type        = string
  default     = "masquerade"

  validation {
    condition     = contains(["masquerade", "masquerade random"], var.masquerade)
    error_message = "Write masquerade or masquerade random."
  }
}

locals {
  sites = {
    a = { bridge = bridge.br0, net = "192.168.111", masquerade = "masquerade" }
    b = { bridge = bridge.br1, net = "192.168.222", masquerade = var.masquerade }
  }
}

host {
  forwarding = true
}

bridge "br0" {
  addresses = ["192.168.111.1/24"]
}

bridge "br1" {
  addresses = ["192.168.222.1/24"]
}

image "micro" {
  build = "micro"
}

vm "nat" {
  for_each = local.sites

  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = each.value.bridge
    addresses = ["${each.value.net}.101/24"]
  }
  route "default" {
    via = "${each.value.net}.1"
  }

  nftables = [nftables.router[each.key]]
}

vm "client" {
  for_each = local.sites

  image = image.micro

  interface "eth0" {
    bridge          = each.value.bridge
    addresses       = ["${each.value.net}.100/24"]
    connected_route = false # everything goes through the NAT, neighbours included
  }
  route "default" {
    via = "${each.value.net}.101"
  }

  nftables = [nftables.client]
}

nftables "router" {
  for_each = local.sites

  ruleset = templatefile("router.nft", { client = "${each.value.net}.100", masquerade = each.value.masquerade })
}

nftables "client" {
  ruleset = file("client.nft")
}

check "udp_hole_punch" {
  hole_punch {
    # address: what the other side sees, for labctl does not read hand-written rules
    a      = { vm = vm.client["a"], port = 23456, address = vm.nat["a"].ip }
    b      = { vm = vm.client["b"], port = 55555, address = vm.nat["b"].ip }
    expect = var.masquerade == "masquerade" ? "success" : "failure"
  }
}

# The routers send what comes for port 22 on to their clients.
check "ssh_is_forwarded" {
  tcp {
    from   = vm.nat["a"]
    to     = vm.nat["b"]
    port   = 22
    expect = "closed" # the client answers, and has no SSH server
  }
}

check "telnet_is_not" {
  tcp {
    from   = vm.nat["a"]
    to     = vm.nat["b"]
    port   = 23
    expect = "filtered"
  }
}
