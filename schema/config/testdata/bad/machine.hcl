lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {}
vm "a" {
  image      = image.micro
  name       = "a b"
  hostname   = "under_score"
  memory     = "1GiB"
  max_memory = "512MiB"
  packages   = ["vim"]
  sysctl     = { forwarding = 1 }
  interface "eth0" {
    bridge = bridge.br0
    pci    = "3.0"
  }
  file "etc/motd" {
    content = "hello"
    mode    = "rw"
    owner   = "me and you"
  }
  hostdev {
    usb = "mouse"
  }
  hostdev {
  }
  ssh {
    user = "me"
  }
}
vm "b" {
  image    = image.micro
  firmware = "uefi"
  console {
    type = "tcp"
    path = "127.0.0.1:4444"
  }
  serial {
    target = "isa-serial"
  }
}
