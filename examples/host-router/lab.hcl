# This host as a router, with rules in nft's own words: what comes from the inside leaves with the host's address.
#
#   inside ── br_in ── this host ── br_out ── world
#   192.168.111.100  .1       203.0.113.1    203.0.113.10
#
# The world has no route back to 192.168.111.0/24: without the masquerade nothing would come back.

lab "hostrouter" {
  description = "The host translates for a machine"
}

host {
  forwarding = true
  nftables   = [nftables.host]
}

nftables "host" {
  ruleset = file("host.nft")
}

bridge "br_in" {
  addresses = ["192.168.111.1/24"]
}

bridge "br_out" {
  addresses = ["203.0.113.1/24"]
}

image "micro" {
  build = "micro"
}

vm "inside" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_in
    addresses = ["192.168.111.100/24"]
  }
  route "default" {
    via = bridge.br_in.ip
  }
}

vm "world" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_out
    addresses = ["203.0.113.10/24"]
  }
}

check "inside_reaches_the_world" {
  ping {
    from = vm.inside
    to   = vm.world
  }
}

check "the_world_sees_the_host" {
  tcp {
    from = vm.inside
    to   = vm.world
    port = 80
  }
}
