# A firewall on one machine: what is not allowed is dropped, and every rule counts.
#
#   client ── br0 ── server
#   192.168.111.10   192.168.111.100
#
#   labctl test
#   labctl rules server -watch     # in a second terminal: see which rule counts

lab "firewall" {
  description = "A server that drops what no rule accepts"
}

image "micro" {
  build = "micro"
}

bridge "br0" {
  link_local = []
}

vm "client" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.10/24"]
  }
}

vm "server" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }

  nftables = [nftables.server]
}

nftables "server" {
  table "inet" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state invalid counter drop comment \"belongs to no connection\"",
        "ct state established,related counter accept comment \"answers, and what belongs to them\"",
        "iifname lo accept",
        "icmp type echo-request limit rate 10/second counter accept comment \"ping, but no flood\"",
        "tcp dport 22 counter accept comment \"SSH\"",
        "ip saddr 192.168.111.10 tcp dport { 80, 443 } counter accept comment \"the web, for the client alone\"",
        "counter comment \"what is left is dropped\"",
      ]
    }
    chain "forward" {
      hook   = "forward"
      policy = "drop"
    }
    chain "output" {
      hook  = "output"
      rules = ["counter comment \"what the server sends\""]
    }
  }
}

check "ping_is_answered" {
  ping {
    from = vm.client
    to   = vm.server
  }
}

check "ssh_is_open" {
  tcp {
    from = vm.client
    to   = vm.server
    port = 22
  }
}

check "telnet_is_not" {
  tcp {
    from   = vm.client
    to     = vm.server
    port   = 23
    expect = "filtered"
  }
}

check "dns_is_not" {
  udp {
    from   = vm.client
    to     = vm.server
    port   = 53
    expect = "filtered"
  }
}

# The server itself may send wherever it likes, and hears the answers.
check "answers_come_back" {
  tcp {
    from = vm.server
    to   = vm.client
    port = 8000
  }
}
