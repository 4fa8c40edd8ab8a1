# Two bridges with settings of their own, and a machine on each whose network card is chosen down to its PCI slot.
#
#   first ── br0 ── this host ── br1 ── second
#   192.168.111.100              192.168.222.100

lab "bridges" {
  description = "Bridges, and the cards that are plugged into them"
}

host {
  forwarding = true
}

locals {
  nets = { br0 = "192.168.111", br1 = "192.168.222" }
}

bridge "br" {
  for_each = local.nets

  name          = each.key
  addresses     = ["${each.value}.1/24"]
  mtu           = 1500
  stp           = true
  forward_delay = "4s" # how long a port listens and learns before it forwards
}

image "micro" {
  build = "micro"
}

vm "machine" {
  for_each = local.nets

  image = image.micro

  interface "eth0" {
    bridge    = bridge.br[each.key]
    addresses = ["${each.value}.100/24"]
    mac       = each.key == "br1" ? "52:54:00:a1:1d:6d" : null # made from the names otherwise
    model     = "virtio"                                       # or e1000, where the guest's kernel has a driver for it: the micro image's has not
    pci       = "0000:00:03.0"
  }
  route "default" {
    via = "${each.value}.1"
  }
  nameservers = ["9.9.9.9", "149.112.112.112"]
}

check "across_the_host" {
  deadline = "40s" # the ports of a bridge with spanning tree are closed at first
  retries  = 20

  ping {
    from = vm.machine["br0"]
    to   = vm.machine["br1"]
  }
}

check "the_card_is_where_it_should_be" {
  exec {
    vm            = vm.machine["br1"]
    command       = ["sh", "-c", "readlink -f /sys/class/net/eth0/device; cat /sys/class/net/eth0/address"]
    expect_output = "/0000:00:03.0/.*\n52:54:00:a1:1d:6d"
  }
}

check "names_are_asked_of" {
  exec {
    vm            = vm.machine["br0"]
    command       = ["cat", "/etc/resolv.conf"]
    expect_output = "nameserver 9.9.9.9"
  }
}
