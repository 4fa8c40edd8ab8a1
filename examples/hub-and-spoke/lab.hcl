# Branches that reach each other through a hub, by static routes alone: no NAT, no routing protocol.
#
#   lan a 10.1.0.0/24 ── branch a ──┐            ┌── branch b ── lan b 10.2.0.0/24
#                        172.16.1.2 └─ hub ──────┘ 172.16.2.2
#                              172.16.1.1  172.16.2.1

lab "hub" {
  description = "Two branches and a hub with static routes"
}

locals {
  branches = {
    a = { number = 1, other = 2 }
    b = { number = 2, other = 1 }
  }
}

image "micro" {
  build = "micro"
}

bridge "link" {
  for_each = local.branches

  name       = "link_${each.key}"
  link_local = []
}

bridge "lan" {
  for_each = local.branches

  name       = "lan_${each.key}"
  link_local = []
}

vm "hub" {
  image      = image.micro
  forwarding = true

  dynamic "interface" {
    for_each = local.branches
    labels   = ["to_${interface.key}"]

    content {
      bridge    = bridge.link[interface.key]
      addresses = ["172.16.${interface.value.number}.1/24"]
    }
  }

  dynamic "route" {
    for_each = local.branches
    labels   = ["10.${route.value.number}.0.0/24"]

    content {
      via = "172.16.${route.value.number}.2"
    }
  }
}

vm "branch" {
  for_each = local.branches

  image      = image.micro
  forwarding = true

  interface "wan" {
    bridge    = bridge.link[each.key]
    addresses = ["172.16.${each.value.number}.2/24"]
  }
  interface "lan" {
    bridge    = bridge.lan[each.key]
    addresses = ["10.${each.value.number}.0.1/24"]
  }

  dynamic "route" {
    for_each = ["10.${each.value.other}.0.0/24"]
    labels   = [route.value]

    content {
      via    = "172.16.${each.value.number}.1"
      source = "10.${each.value.number}.0.1" # the other branch knows no way back to the link between branch and hub
    }
  }
}

check "a_reaches_b" {
  ping {
    from = vm.branch["a"]
    to   = { vm = vm.branch["b"], address = "10.2.0.1" }
  }
}

check "a_sends_to_the_hub" {
  route {
    vm         = vm.branch["a"]
    to         = "10.2.0.1"
    expect_via = "172.16.1.1"
  }
}

check "the_hub_sends_to_b" {
  route {
    vm         = vm.hub
    to         = "10.2.0.77"
    expect_via = "172.16.2.2"
  }
}

check "a_does_not_know_the_link_of_b" {
  ping {
    from   = vm.branch["a"]
    to     = { address = "172.16.2.2" }
    expect = "failure"
  }
}
