# For scripts: the npm packages of tests/clients/package-lock.json, under target/clients/.

# packages: installs them, unless they are there; target/clients/node_modules then has them.
packages() {
    mkdir -p target/clients
    if ! cmp -s tests/clients/package-lock.json target/clients/node_modules/.installed; then
        cp tests/clients/package.json tests/clients/package-lock.json target/clients/
        npm ci --prefix target/clients --no-audit --no-fund --loglevel=error >&2
        cp tests/clients/package-lock.json target/clients/node_modules/.installed
    fi
}
