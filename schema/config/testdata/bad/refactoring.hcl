lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  lifecycle {
    replace_triggered_by = [bridge.br7, image.micro.sauce]
  }
}
bridge "each" {
  for_each = toset(["a"])
}
moved {
  from = bridge.br0
  to   = bridge.each["a"]
}
moved {
  from = bridge.each
  to   = bridge.each["a"]
}
removed {
  from = bridge.each
}
import {
  to = bridge.br1
  id = "br1"
}
