# shellcheck shell=bash
# places.bash - for bats files: a vendor's and a customer's server (cluster_start vendor; cluster_start
# customer --tls) and a tenant on each.

# MODEL TENANT: manifests of a region, both servers, TENANT in dedicated and "own" in customer-db.
two_places() {
	cat <<-END
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: here}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: vendor}
		spec:
		  region: here
		  modes: [dedicated]
		  capacity: 10
		  connect:
		    host: 127.0.0.1
		    port: $(cluster_port vendor)
		    password: {secretRef: "env:VENDOR_PASSWORD"}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: customer}
		spec:
		  region: here
		  modes: [customer-db]
		  connect:
		    host: localhost
		    port: $(cluster_port customer)
		    database: own
		    password: {secretRef: "env:CUSTOMER_PASSWORD"}
		    sslmode: verify-full
		    sslrootcert: $CLUSTERS/certs/ca.crt
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: $2}
		spec: {model: $1, mode: dedicated, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: own}
		spec: {model: $1, mode: customer-db, cluster: customer}
	END
}
