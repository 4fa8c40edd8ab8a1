lab "x" {}
image "micro" {
  build = "micro"
}
locals {
  nets = { a = cidrhost("192.168.111.0/24", 999) }
}
bridge "br" {
  for_each  = local.nets
  addresses = ["${each.value}/24"]
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br["a"]
    addresses = ["${local.nets.a}/24"]
  }
  route "default" {
    via = bridge.br["a"].ip
  }
}
check "p" {
  ping {
    from = vm.a
    to   = local.nets.a
  }
}
