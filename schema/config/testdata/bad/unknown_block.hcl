lab "x" {}
brigde "br0" {
}
