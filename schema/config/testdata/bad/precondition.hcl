lab "x" {}
locals {
  n = 3
}
bridge "br0" {
  lifecycle {
    precondition {
      condition     = local.n % 2 == 0
      error_message = "An even number is wanted."
    }
  }
}
