lab "x" {}
bridge "a" "b" {
}
