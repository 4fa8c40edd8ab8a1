lab "x" {}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
moved {
  from = bridge.a
  to   = vm.b
}
moved {
  from = bridge.c
}
moved {
  from = "x y"
  to   = bridge.br0
}
