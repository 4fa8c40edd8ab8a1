# A firewall with three legs: the world may reach the web server and nothing else, the office may reach both, and the web
# server may reach nobody by itself.
#
#   world ── br_wan ── firewall ── br_lan ── office
#   203.0.113.10            │               10.0.0.10
#                        br_dmz ── web 198.51.100.80

lab "dmz" {
  description = "A zone for what the world may reach"
}

image "micro" {
  build = "micro"
}

bridge "br_wan" {
  link_local = []
}

bridge "br_dmz" {
  link_local = []
}

bridge "br_lan" {
  link_local = []
}

locals {
  zones = {
    wan = { bridge = bridge.br_wan, net = "203.0.113" }
    dmz = { bridge = bridge.br_dmz, net = "198.51.100" }
    lan = { bridge = bridge.br_lan, net = "10.0.0" }
  }
  machines = {
    world  = { zone = "wan", number = 10 }
    web    = { zone = "dmz", number = 80 }
    office = { zone = "lan", number = 10 }
  }
}

vm "firewall" {
  image      = image.micro
  forwarding = true

  dynamic "interface" {
    for_each = local.zones
    labels   = [interface.key]

    content {
      bridge    = interface.value.bridge
      addresses = ["${interface.value.net}.1/24"]
    }
  }

  nftables = [nftables.firewall]
}

nftables "firewall" {
  table "inet" "filter" {
    chain "forward" {
      hook   = "forward"
      policy = "drop"
      rules = [
        "ct state invalid counter drop",
        "ct state established,related counter accept",
        "iifname vmap { \"wan\" : jump from_wan, \"lan\" : jump from_lan }",
        "counter comment \"what is left is dropped\"",
      ]
    }
    chain "from_wan" {
      rules = ["oifname \"dmz\" ip daddr 198.51.100.80 tcp dport { 80, 443 } counter accept comment \"the web server\""]
    }
    chain "from_lan" {
      rules = [
        "oifname { \"wan\", \"dmz\" } counter accept comment \"the office goes anywhere\"",
      ]
    }
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related accept",
        "iifname lo accept",
        "iifname \"lan\" tcp dport 22 counter accept comment \"administrators\"",
        "icmp type echo-request accept",
      ]
    }
  }
}

vm "machine" {
  for_each = local.machines

  name  = "dmz-${each.key}"
  image = image.micro

  interface "eth0" {
    bridge    = local.zones[each.value.zone].bridge
    addresses = ["${local.zones[each.value.zone].net}.${each.value.number}/24"]
  }
  route "default" {
    via = "${local.zones[each.value.zone].net}.1"
  }
}

locals {
  # from, to, port, and what must come of it
  ways = {
    world_to_web     = ["world", "web", 443, "open"]
    world_to_web_ssh = ["world", "web", 22, "filtered"]
    world_to_office  = ["world", "office", 443, "filtered"]
    web_to_office    = ["web", "office", 443, "filtered"]
    office_to_web    = ["office", "web", 22, "open"]
    office_to_world  = ["office", "world", 443, "open"]
  }
}

check "way" {
  for_each = local.ways

  tcp {
    from   = vm.machine[each.value[0]]
    to     = vm.machine[each.value[1]]
    port   = each.value[2]
    expect = each.value[3]
  }
}
