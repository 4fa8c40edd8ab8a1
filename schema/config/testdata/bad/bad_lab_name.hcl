lab "My Lab" {}
