"""Do sparse autoencoders find the features that vectors are made of?"""
