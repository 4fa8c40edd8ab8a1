lab "x" {}
bridge "a-very-long-bridge" {
}
