lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24", "2001:db8::ff/64"]
}
vm "hidden" {
  image    = image.micro
  nftables = [nftables.closed]
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["2001:db8::1/64"]
  }
}
vm "found" {
  image    = image.micro
  nftables = [nftables.open]
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["2001:db8::2/64"]
  }
}
vm "old" {
  image    = image.micro
  nftables = [nftables.closed]
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.3/24"]
  }
}
nftables "closed" {
  table "inet" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related counter accept",
        "iif lo accept",
        "icmp type echo-request accept",
        "icmpv6 type echo-request accept",
        "tcp dport 22 accept",
      ]
    }
  }
}
nftables "open" {
  table "inet" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related counter accept",
        "meta l4proto ipv6-icmp accept",
      ]
    }
  }
}
