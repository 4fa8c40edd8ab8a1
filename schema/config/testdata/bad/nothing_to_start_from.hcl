lab "x" {}
vm "a" {
}
