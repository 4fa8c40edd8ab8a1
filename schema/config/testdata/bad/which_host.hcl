lab "x" {}
host "h1" {
  ssh = "root@h1"
}
host "h2" {
  ssh = "root@h2"
}
bridge "a" {
  host = host.h1
}
bridge "b" {
}
bridge "c" {
  host = "h3"
}
image "micro" {
  host  = host.h2
  build = "micro"
}
vm "a" {
  host  = host.h2
  image = image.micro
  interface "eth0" {
    bridge = bridge.a
  }
}
