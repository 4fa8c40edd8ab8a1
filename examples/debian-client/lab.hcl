# A whole Debian beside a guest of a few megabytes, on one bridge.
#
#   client (Debian) ── br0 ── peer (micro)
#   192.168.70.10             192.168.70.20
#
#   labctl image build debian    # once, on the machine itself: it needs Debian's archive, and a minute
#   labctl apply
#   labctl console client

lab "debian-client" {
  description = "A Debian that is configured as an administrator would"
}

variable "authorized_keys" {
  description = "Public keys that may log in as ada"
  type        = list(string)
  default     = []
}

variable "packages" {
  description = "Debian packages that the client's first boot installs"
  type        = list(string)
  default     = []
}

variable "repository" {
  description = "The apt repository that they come from, as a line of sources.list(5); null is Debian's own"
  type        = string
  default     = null
}

bridge "br0" {
  addresses = ["192.168.70.1/24", "fd00:70::1/64"]
}

image "debian" {
  build = "debian"
}

image "micro" {
  build = "micro"
}

vm "client" {
  image = image.debian

  interface "lan0" {
    bridge    = bridge.br0
    addresses = ["192.168.70.10/24", "fd00:70::10/64"]
  }
  route "default" {
    via = "192.168.70.1"
  }
  route "10.70.0.0/16" {
    via = vm.peer.ip
  }
  nameservers = ["192.168.70.1"]
  search      = ["lab.test"]
  hosts       = { (vm.peer.ip) = "peer" }

  sysctl   = { "net.ipv4.tcp_keepalive_time" = "600" }
  nftables = [nftables.client]

  file "/etc/motd" {
    content = "This Debian belongs to a lab.\n"
  }

  # The three that only a first boot carries out.
  ssh {
    user            = "ada"
    authorized_keys = var.authorized_keys
  }
  packages = var.packages
  timeouts {
    agent = "5m" # without KVM, on a busy host
  }
  dynamic "file" {
    for_each = var.repository == null ? {} : {
      "/etc/apt/lab.list"         = "${var.repository}\n"
      "/etc/apt/apt.conf.d/90lab" = "Dir::Etc::sourcelist \"/etc/apt/lab.list\";\nDir::Etc::sourceparts \"-\";\n"
    }
    labels = [file.key]
    content {
      content = file.value
    }
  }
}

vm "peer" {
  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.70.20/24", "10.70.0.1/16"]
  }
}

nftables "client" {
  table "inet" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related accept",
        "iifname lo accept",
        "meta l4proto { icmp, icmpv6 } accept",
        "tcp dport 22 counter accept comment \"SSH\"",
      ]
    }
  }
}

check "they_see_each_other" {
  ping {
    from = vm.client
    to   = vm.peer
  }
}

check "beyond_the_peer" {
  ping {
    from = vm.client
    to   = "10.70.0.1"
  }
}

check "ssh_is_open" {
  tcp {
    from = vm.peer
    to   = vm.client
    port = 22
  }
}

check "nothing_else_is" {
  tcp {
    from   = vm.peer
    to     = vm.client
    port   = 80
    expect = "filtered"
  }
}
