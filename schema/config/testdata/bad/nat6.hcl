lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24", "2001:db8::1/64"]
}
vm "no_address" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  nat6 {
    outside = "eth0"
  }
}
vm "prefixes" {
  image      = image.micro
  forwarding = true
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["2001:db8::2/64"]
  }
  nat6 {
    outside = "eth0"
    prefix "not_neutral" {
      inside  = "fd01:203:405:1::/64"
      outside = "2001:db8:1:1::/64"
    }
    prefix "nowhere" {
      inside  = "fd02:203:405::/48"
      outside = "2001:db8:2::/48"
    }
    forward "web" {
      port = 80
      to   = "fd01:203:405:1::2"
    }
  }
}
vm "old_address" {
  image      = image.micro
  forwarding = true
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["2001:db8::3/64"]
  }
  nat6 {
    outside = "eth0"
    ports   = "random"
    forward "web" {
      port = 80
      to   = "10.0.0.2"
    }
  }
}
vm "between" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["2001:db8::4/64"]
  }
  nat {
    family  = "ip6"
    outside = "eth0"
  }
  nat64 {
    prefix = "64:ff9b::/96"
  }
}
