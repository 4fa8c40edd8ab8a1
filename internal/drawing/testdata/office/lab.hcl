lab "office" {}

host {
  forwarding = true
}

bridge "wan" {
  interfaces = ["eth9"]
  dhcp4      = true
}

bridge "lan" {}

network "default" {
  existing = true
}

image "micro" {
  build = "micro"
}

vm "firewall" {
  image = image.micro
  interface "eth0" {
    bridge = bridge.wan
    dhcp4  = true
  }
  interface "eth1" {
    bridge    = bridge.lan
    addresses = ["10.1.0.1/24", "fd00:1::1/64"]
  }
  forwarding = true
}

vm "desk" {
  count = 2
  image = image.micro
  interface "eth0" {
    bridge    = bridge.lan
    addresses = ["10.1.0.1${count.index}/24"]
    link      = count.index == 0 ? "up" : "down"
  }
}

vm "guest" {
  image = image.micro
  interface "eth0" {
    network = network.default
    dhcp4   = true
    impair {
      delay = "20ms"
    }
  }
}

vm "alone" {
  image = image.micro
}
